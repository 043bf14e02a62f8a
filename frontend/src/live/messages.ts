/** What the stream says, as one tab tells it to the others. */

export type LiveState = 'connecting' | 'live' | 'offline'

export interface LiveEvent {
  /** Where the stream stands after it: what to come back with. */
  cursor: string
  type: string
  subject: string
  event: Record<string, unknown>
}

export type Said =
  | { kind: 'event'; event: LiveEvent }
  | { kind: 'state'; state: LiveState }
  /** Events are missing: load everything anew. */
  | { kind: 'resync'; cursor: string }
