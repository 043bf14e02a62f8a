import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { Said } from './messages'
import { SharedStream } from './sharing'

/** Stands in for the browser's: tests say what the gateway sends. */
class FakeSource extends EventTarget {
  static opened: FakeSource[] = []
  static readonly CLOSED = 2
  readyState = 1
  onerror: (() => void) | null = null

  constructor(readonly url: string) {
    super()
    FakeSource.opened.push(this)
  }

  say(type: string, id: string, event: unknown = {}) {
    const data = JSON.stringify({ type, subject: `evt.${type}.core.x`, event })
    this.dispatchEvent(Object.assign(new MessageEvent(type, { data, lastEventId: id })))
  }

  close() {
    this.readyState = 2
  }
}

/** Web Locks of one browser: the first has it until its promise ends, then the next. */
function locks() {
  let last: Promise<unknown> = Promise.resolve()
  return {
    request: (_name: string, _options: unknown, work: () => Promise<void>) => (last = last.then(work)),
  }
}

const tabs: SharedStream[] = []
const open = (heard: Said[] = []) => {
  const tab = new SharedStream((said) => heard.push(said))
  tabs.push(tab)
  return tab
}
const source = () => FakeSource.opened.at(-1)!

beforeEach(() => {
  FakeSource.opened = []
  vi.stubGlobal('EventSource', FakeSource)
  vi.stubGlobal('navigator', { locks: locks() })
})
afterEach(() => {
  for (const tab of tabs.splice(0)) tab.close()
  vi.unstubAllGlobals()
})

it('opens one stream for two tabs, and both hear', async () => {
  const here: Said[] = []
  const there: Said[] = []
  open(here)
  open(there)
  await vi.waitFor(() => expect(FakeSource.opened).toHaveLength(1))

  source().say('ready', 'e1.l1')
  source().say('run.dispatched', 'e2.l1', { run_id: 'r' })

  for (const heard of [here, there])
    await vi.waitFor(() => expect(heard.map((said) => said.kind)).toContain('event'))
  expect(FakeSource.opened).toHaveLength(1)
})

it('goes on in the next tab from the last event, when the tab with the stream is closed', async () => {
  const first = open()
  const heard: Said[] = []
  const second = open(heard)
  await vi.waitFor(() => expect(first.leads).toBe(true))
  source().say('ready', 'e1.l1')
  source().say('run.dispatched', 'e7.l1')
  await vi.waitFor(() => expect(heard.some((said) => said.kind === 'event')).toBe(true))

  first.close()

  await vi.waitFor(() => expect(second.leads).toBe(true))
  expect(new URL(source().url, 'http://x').searchParams.get('after')).toBe('e7.l1')
})

it('goes on from where the stream stood, in a tab that came later and heard nothing', async () => {
  const first = open()
  await vi.waitFor(() => expect(first.leads).toBe(true))
  source().say('ready', 'e5.l2')
  const heard: Said[] = []
  const second = open(heard)
  await vi.waitFor(() => expect(heard).toContainEqual({ kind: 'state', state: 'live' }))

  first.close()

  await vi.waitFor(() => expect(second.leads).toBe(true))
  expect(new URL(source().url, 'http://x').searchParams.get('after')).toBe('e5.l2')
})

it('asks for the log of a run as long as any tab shows it', async () => {
  open()
  const other = open()
  await vi.waitFor(() => expect(FakeSource.opened).toHaveLength(1))

  other.want(['r1'])
  await vi.waitFor(() => expect(source().url).toContain('logs_of=r1'))
  other.want([])

  await vi.waitFor(() => expect(source().url).not.toContain('logs_of'))
})

it('tells every tab to load anew when events are missing', async () => {
  const heard: Said[] = []
  open()
  open(heard)
  await vi.waitFor(() => expect(FakeSource.opened).toHaveLength(1))

  source().say('resync', 'e9.l9')

  await vi.waitFor(() => expect(heard).toContainEqual({ kind: 'resync', cursor: 'e9.l9' }))
})
