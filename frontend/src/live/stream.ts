import { api, ask } from '@/api/client'
import { EVENT_TYPES } from '@/api/events'
import { problemOf } from '@/api/problem'
import type { Said } from './messages'

const RETRY_MS = 1000
const LONGEST_RETRY_MS = 15_000

/** The one EventSource: it comes back after every end, from where it was. */
export class Stream {
  private source: EventSource | null = null
  private timer = 0
  private failures = 0
  private closed = false
  /** How far it is; empty until the gateway has said where it begins. */
  cursor: string
  private readonly say: (said: Said) => void
  private runs: readonly string[]

  constructor(say: (said: Said) => void, cursor: string, runs: readonly string[]) {
    this.say = say
    this.cursor = cursor
    this.runs = runs
    this.open()
  }

  /** Hear the log of these runs, too. */
  want(runs: readonly string[]): void {
    if (runs.join() === this.runs.join()) return
    this.runs = runs
    this.open()
  }

  close(): void {
    this.closed = true
    clearTimeout(this.timer)
    this.source?.close()
  }

  private open(): void {
    clearTimeout(this.timer)
    this.source?.close()
    const asked = new URLSearchParams({ progress: 'true' })
    if (this.cursor) asked.set('after', this.cursor)
    if (this.runs.length) asked.set('logs_of', this.runs.join())
    const source = new EventSource(`/api/v1/events?${asked}`)
    this.source = source
    source.addEventListener('ready', (message) => this.ready(message as MessageEvent))
    source.addEventListener('resync', (message) => this.resync((message as MessageEvent).lastEventId))
    for (const type of EVENT_TYPES) source.addEventListener(type, (message) => this.heard(message))
    source.onerror = () => this.interrupted(source)
  }

  private ready(message: MessageEvent): void {
    this.failures = 0
    const began = this.cursor === ''
    this.cursor ||= message.lastEventId
    this.say({ kind: 'state', state: 'live' })
    // What was loaded before the stream began may have changed in between.
    if (began) this.resync(message.lastEventId)
  }

  private resync(cursor: string): void {
    this.cursor = cursor
    this.say({ kind: 'resync', cursor })
  }

  private heard(message: MessageEvent): void {
    this.cursor = message.lastEventId
    const { type, subject, event } = JSON.parse(message.data)
    this.say({ kind: 'event', event: { cursor: this.cursor, type, subject, event } })
  }

  /** The browser comes back by itself after a lost connection, not after a refusal. */
  private interrupted(source: EventSource): void {
    if (this.closed || source !== this.source) return
    this.say({ kind: 'state', state: this.failures > 0 ? 'offline' : 'connecting' })
    this.failures += 1
    if (source.readyState === EventSource.CLOSED) void this.comeBack()
  }

  private async comeBack(): Promise<void> {
    try {
      await ask(api.GET('/api/v1/auth/me')) // renews a session that only needs that
    } catch (error) {
      if (problemOf(error).status === 401) return this.close()
    }
    if (this.closed) return
    const delay = Math.min(RETRY_MS * 2 ** Math.min(this.failures, 5), LONGEST_RETRY_MS)
    this.timer = window.setTimeout(() => this.open(), delay)
  }
}
