import type { Schemas } from '@/api/client'
import { bytes, duration } from '@/text'

export interface Check {
  /** `none`: nobody knows yet. */
  state: 'ok' | 'warn' | 'bad' | 'none'
  text: string
}

export interface Flight {
  backup: Schemas['Backup']
  copies: number
  target?: Schemas['Server']
  endpoint: string
  /** The kind of engine that the backup is of, where that is known. */
  engine?: string
  name: string
  taken: boolean
  /** What the target said of itself just now, or why it did not. */
  answered?: { versions?: Record<string, string>; problem?: Schemas['Problem'] | null }
}

const major = (version: string) => Number(/(\d+)/.exec(version)?.[1] ?? NaN)

/** What is known, before a restore begins, of whether it will go well. */
export function preflight(flight: Flight): Check[] {
  return [archiveOf(flight), ...chainOf(flight), testOf(flight), targetOf(flight), engineOf(flight), versionOf(flight), nameOf(flight), roomOf(flight)]
}

function archiveOf({ backup, copies }: Flight): Check {
  if (backup.proof === 'corrupt') return { state: 'bad', text: 'The archive is damaged: restore another point.' }
  if (!copies) return { state: 'bad', text: 'No store has a whole copy of the archive.' }
  if (backup.deep_verified_at) return { state: 'ok', text: 'It was read with its keys to the last byte, and is what was dumped.' }
  if (backup.proof === 'verified') return { state: 'ok', text: 'Every byte of the archive was read again and is as it was written.' }
  return { state: 'warn', text: 'The archive was not verified yet; verifying it first takes about as long as reading it.' }
}

function chainOf({ backup }: Flight): Check[] {
  if (!backup.parent_id) return []
  const { state, reason = '' } = backup.restorability ?? { state: 'unproven' }
  if (state === 'proven') return [{ state: 'ok', text: 'All backups that it builds on are there and verified.' }]
  return [{ state: state === 'broken' ? 'bad' : 'warn', text: reason || 'Not all backups that it builds on were verified yet.' }]
}

function testOf({ backup }: Flight): Check {
  if (backup.restore_test_problem) return { state: 'warn', text: `The last test restore failed: ${backup.restore_test_problem.cause}` }
  if (!backup.restore_tested_at) return { state: 'none', text: 'It was never restored as a test.' }
  return { state: 'ok', text: `It was restored as a test, which took ${duration(backup.restore_test_s ?? 0)}.` }
}

function targetOf({ target, answered }: Flight): Check {
  if (answered?.problem) return { state: 'bad', text: `The target does not answer: ${answered.problem.cause}` }
  if (answered?.versions) return { state: 'ok', text: 'The target answered just now.' }
  if (target?.health === 'healthy') return { state: 'ok', text: `${target.name} is healthy.` }
  if (target?.health === 'unreachable') return { state: 'bad', text: `${target.name} was unreachable when it was last asked.` }
  return { state: 'none', text: 'Nobody has asked the target yet: check it now.' }
}

function engineOf({ target, endpoint, engine, backup }: Flight): Check {
  const there = target?.endpoints.find((one) => one.name === endpoint)?.engine.kind
  if (!there || !engine) return { state: 'none', text: `It was dumped by ${backup.archive?.tool ?? 'a tool'}; the target has to be of the same engine.` }
  if (there === engine) return { state: 'ok', text: 'The target is of the same engine.' }
  return { state: 'bad', text: `The backup is of ${engine}, the target of ${String(there)}.` }
}

function versionOf({ backup, endpoint, answered }: Flight): Check {
  const from = backup.archive?.server_version ?? ''
  const to = answered?.versions?.[endpoint] ?? ''
  if (!to || !from) return { state: 'none', text: `The source was of version ${from || 'unknown'}; the version of the target shows when it is checked.` }
  if (major(to) < major(from)) return { state: 'warn', text: `The target (${to}) is older than the source (${from}): some of it may not fit.` }
  return { state: 'ok', text: `Version ${from} goes into ${to}.` }
}

function nameOf({ name, taken }: Flight): Check {
  if (!name) return { state: 'none', text: 'The new database has no name yet.' }
  return taken ? { state: 'bad', text: `${name} exists there already.` } : { state: 'ok', text: `${name} is free there.` }
}

const roomOf = ({ backup }: Flight): Check => ({ state: 'none', text: `The target needs room for about ${bytes(backup.raw_bytes)}.` })
