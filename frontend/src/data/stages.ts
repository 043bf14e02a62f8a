import { isOpen, type Run } from './runs'

/** The stages of each kind of run as executors name them, and what people call them. */
const WORK: Record<string, readonly string[]> = {
  backup: ['data', 'check', 'index', 'log', 'envelope', 'manifest'],
  restore: ['restore'],
  verification: ['verify'],
}
const WORDS: Record<string, string> = {
  queued: 'Waiting',
  begin: 'Connecting',
  data: 'Copying',
  check: 'Checking',
  index: 'Listing parts',
  log: 'Keeping the log',
  envelope: 'Sealing the key',
  manifest: 'Signing',
  restore: 'Restoring and comparing',
  verify: 'Reading with its keys',
  work: 'Working',
  done: 'Done',
}

export const stageName = (stage: string): string => WORDS[stage] ?? stage.replaceAll('_', ' ')

export type StageState = 'past' | 'now' | 'ahead' | 'failed' | 'stopped' | 'unreached' | 'unknown'

export interface Step {
  stage: string
  name: string
  state: StageState
}

/**
 * Where a run is, or where it ended. `said` is the last stage it told of: null where it told of none,
 * undefined where nobody knows any more.
 */
export function stepsOf(run: Run, said: string | null | undefined): Step[] {
  const work = WORK[run.kind]
  const stages = ['queued', ...(work ? ['begin', ...work] : ['work']), 'done']
  const states = run.status === 'completed' ? stages.map(() => 'past' as const) : unfinished(run, stages, said)
  return stages.map((stage, at) => ({ stage, name: stageName(stage), state: states[at]! }))
}

function unfinished(run: Run, stages: string[], said: string | null | undefined): StageState[] {
  const at = placeOf(run, stages, said)
  const ended = !isOpen(run)
  const here = !ended ? 'now' : run.status === 'cancelled' ? 'stopped' : 'failed'
  if (at === undefined) return stages.map((_, index) => (index === 0 ? 'past' : index === stages.length - 1 ? 'unreached' : 'unknown'))
  return stages.map((_, index) => (index < at ? 'past' : index === at ? here : ended ? 'unreached' : 'ahead'))
}

/** Which of the stages it is in, or ended in; undefined where that is not known. */
function placeOf(run: Run, stages: string[], said: string | null | undefined): number | undefined {
  if (!run.started_at) return 0
  if (said) return Math.max(1, stages.indexOf(said))
  // Of what is done in one go there is only one place to be in.
  if (isOpen(run) || said === null || stages.length === 3) return 1
  return undefined
}

/** The same in a sentence, where a run did not reach its end. */
export function endedIn(steps: Step[]): string {
  const last = steps.find(({ state }) => state === 'failed' || state === 'stopped')
  if (last) return `${last.state === 'failed' ? 'It failed at' : 'It was stopped at'} “${last.name}”; what comes after that was never reached.`
  return steps.some(({ state }) => state === 'unknown') ? 'How far it came is not known any more: its log has expired.' : ''
}
