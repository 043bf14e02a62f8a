import { useQueryClient, type QueryClient } from '@tanstack/vue-query'
import { onScopeDispose, ref } from 'vue'
import { Effects } from './effects'
import type { LiveEvent, LiveState, Said } from './messages'
import { SharedStream } from './sharing'

const POLL_MS = 20_000

/** How the connection stands, in every tab. */
export const liveState = ref<LiveState>('connecting')

const listeners = new Set<(event: LiveEvent) => void>()
const missed = new Set<() => void>()
const logs = new Map<symbol, string>()
let shared: SharedStream | null = null

/** Keeps pages live while somebody is signed in: called once, by the frame of all pages. */
export function useLive(): void {
  const queries = useQueryClient()
  const stop = begin(queries)
  onScopeDispose(stop)
}

/** Hear every event while the component lives. */
export function useEvents(listener: (event: LiveEvent) => void): void {
  listeners.add(listener)
  onScopeDispose(() => listeners.delete(listener))
}

/** Be told when events were missed that nobody will hear again. */
export function useMissed(listener: () => void): void {
  missed.add(listener)
  onScopeDispose(() => missed.delete(listener))
}

/** Also hear the log of a run while the component lives. */
export function useLogOf(run: string): void {
  const wish = Symbol(run)
  logs.set(wish, run)
  shared?.want([...logs.values()])
  onScopeDispose(() => {
    logs.delete(wish)
    shared?.want([...logs.values()])
  })
}

function begin(queries: QueryClient): () => void {
  const effects = new Effects(queries)
  const stream = new SharedStream((said) => hear(said, effects))
  shared = stream
  if (logs.size) stream.want([...logs.values()])
  // Only while nothing comes: a proxy may hold back streams.
  const poll = setInterval(() => liveState.value !== 'live' && effects.all(), POLL_MS)
  return () => {
    clearInterval(poll)
    stream.close()
    shared = null
  }
}

function hear(said: Said, effects: Effects): void {
  if (said.kind === 'state') liveState.value = said.state
  else if (said.kind === 'resync') {
    effects.all()
    for (const listener of missed) listener()
  } else {
    effects.of(said.event)
    for (const listener of listeners) listener(said.event)
  }
}
