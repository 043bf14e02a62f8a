import { expect, it } from 'vitest'
import type { Run } from './runs'
import { endedIn, stepsOf } from './stages'

const run = (of: Partial<Run>) => ({ kind: 'backup', status: 'running', started_at: '2026-01-01T00:00:00Z', ...of }) as Run
const states = (of: Partial<Run>, said?: string | null) => stepsOf(run(of), said).map(({ state }) => state)
const inState = (of: Partial<Run>, said: string | null | undefined, wanted: string) =>
  stepsOf(run(of), said).filter(({ state }) => state === wanted).map(({ stage }) => stage)

it('marks only the stage that a run failed in, and calls the later ones unreached', () => {
  expect(inState({ status: 'failed' }, 'check', 'failed')).toEqual(['check'])
  expect(inState({ status: 'failed' }, 'check', 'past')).toEqual(['queued', 'begin', 'data'])
  expect(inState({ status: 'failed' }, 'check', 'unreached')).toEqual(['index', 'log', 'envelope', 'manifest', 'done'])
})

it('blames no copying for a run that never connected or never began', () => {
  expect(inState({ status: 'failed' }, null, 'failed')).toEqual(['begin'])
  expect(inState({ status: 'failed', started_at: null }, undefined, 'failed')).toEqual(['queued'])
})

it('does not guess where a run failed whose log is gone', () => {
  const steps = stepsOf(run({ status: 'failed' }), undefined)

  expect(steps.filter(({ state }) => state === 'failed')).toEqual([])
  expect(endedIn(steps)).toContain('not known any more')
})

it('tells a stop from a failure', () => {
  expect(inState({ status: 'cancelled' }, 'data', 'stopped')).toEqual(['data'])
  expect(endedIn(stepsOf(run({ status: 'cancelled' }), 'data'))).toContain('It was stopped at “Copying”')
})

it('follows a run while it works, and ticks all of one that completed', () => {
  expect(states({}, 'data').slice(0, 4)).toEqual(['past', 'past', 'now', 'ahead'])
  expect(states({}, undefined).slice(0, 3)).toEqual(['past', 'now', 'ahead'])
  expect(new Set(states({ status: 'completed' }))).toEqual(new Set(['past']))
  expect(states({ kind: 'discovery', status: 'failed' })).toEqual(['past', 'failed', 'unreached'])
})

it('calls no stage by what only programs call it', () => {
  const names = stepsOf(run({}), null).map(({ name }) => name.toLowerCase()).join(' ')

  expect(names).not.toMatch(/envelope|manifest|index|queued/)
})
