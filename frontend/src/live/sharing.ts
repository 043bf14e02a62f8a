import type { Said } from './messages'
import { Stream } from './stream'

type Between =
  | { kind: 'said'; said: Said }
  /** How it stands, for a tab that has just come. */
  | { kind: 'here'; state: Said; cursor: string }
  /** A tab that has just come asks how it stands. */
  | { kind: 'hello' }
  /** A tab wants the log of these runs. */
  | { kind: 'wants'; tab: string; runs: readonly string[] }

const NAME = 'holdfast.live'

/**
 * One stream for all tabs of a browser: the tab that holds a Web Lock has it and tells the others.
 * When it goes, the next tab takes over from the last event that it heard. A browser without locks
 * gets a stream for each tab.
 */
export class SharedStream {
  private readonly tab = String(Math.random())
  private readonly channel = new BroadcastChannel(NAME)
  private readonly wanted = new Map<string, readonly string[]>()
  private readonly hear: (said: Said) => void
  private stream: Stream | null = null
  private cursor = ''
  private closed = false
  private state: Said = { kind: 'state', state: 'connecting' }
  private leave = () => {}

  constructor(hear: (said: Said) => void) {
    this.hear = hear
    this.channel.onmessage = (message: MessageEvent<Between>) => this.between(message.data)
    if (navigator.locks) void this.takeTurn()
    else this.lead()
    this.post({ kind: 'hello' })
    addEventListener('pagehide', this.farewell)
  }

  /** Whether this tab has the stream. */
  get leads(): boolean {
    return this.stream !== null
  }

  /** Hear the log of these runs. */
  want(runs: readonly string[]): void {
    this.wanted.set(this.tab, runs)
    this.stream?.want(this.runs())
    this.post({ kind: 'wants', tab: this.tab, runs })
  }

  close(): void {
    if (this.closed) return
    this.closed = true
    removeEventListener('pagehide', this.farewell)
    this.farewell()
    this.channel.close()
    this.stream?.close()
    this.stream = null
    this.leave()
  }

  private readonly farewell = () => this.post({ kind: 'wants', tab: this.tab, runs: [] })

  private async takeTurn(): Promise<void> {
    const gone = new AbortController()
    const over = new Promise<void>((resolve) => {
      this.leave = () => {
        resolve()
        gone.abort()
      }
    })
    const hold = async () => {
      if (this.closed) return
      this.lead()
      await over
    }
    await navigator.locks.request(NAME, { signal: gone.signal }, hold).catch(() => {})
  }

  private lead(): void {
    this.stream = new Stream((said) => this.said(said), this.cursor, this.runs())
  }

  private runs(): string[] {
    return [...new Set([...this.wanted.values()].flat())].sort().slice(0, 8)
  }

  private said(said: Said): void {
    this.note(said)
    this.post({ kind: 'said', said })
    this.hear(said)
  }

  private between(message: Between): void {
    if (message.kind === 'said') {
      this.note(message.said)
      this.hear(message.said)
    } else if (message.kind === 'wants') {
      this.wanted.set(message.tab, message.runs)
      this.stream?.want(this.runs())
    } else if (message.kind === 'here') {
      this.cursor ||= message.cursor
      this.note(message.state)
      this.hear(message.state)
    } else {
      if (this.stream) this.post({ kind: 'here', state: this.state, cursor: this.stream.cursor })
      const own = this.wanted.get(this.tab)
      if (own?.length) this.post({ kind: 'wants', tab: this.tab, runs: own })
    }
  }

  private note(said: Said): void {
    if (said.kind === 'state') this.state = said
    else this.cursor = said.kind === 'event' ? said.event.cursor : said.cursor
  }

  private post(message: Between): void {
    this.channel.postMessage(message)
  }
}
