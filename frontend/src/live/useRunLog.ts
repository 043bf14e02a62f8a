import { onScopeDispose, ref, shallowRef } from 'vue'
import { api, ask } from '@/api/client'
import { problemOf, type Problem } from '@/api/problem'
import type { Progress } from './effects'
import { useEvents, useLogOf, useMissed } from './useLive'

export interface LogLine {
  n: number
  at: string
  attempt: number
  level: string
  text: string
}

const MOST = 50_000

export type RunLog = ReturnType<typeof useRunLog>

/** The log of a run: what is there already, then what is said, each line once and in order. */
export function useRunLog(run: string) {
  const lines = shallowRef<LogLine[]>([])
  /** How far it said it was, from its first word on. */
  const told = shallowRef<Progress[]>([])
  const error = ref<Problem | null>(null)
  const loaded = ref(false)
  const known = new Set<string>()
  let waiting: LogLine[] = []
  const news: Progress[] = []
  let frame = 0

  function add(said: Record<string, unknown>) {
    if (said.run_id !== run || known.has(String(said.id))) return
    known.add(String(said.id))
    if (said.type === 'output.progress') news.push(said as unknown as Progress)
    if (said.type === 'output.line') addLines(said)
    frame ||= requestAnimationFrame(show)
  }

  function addLines(said: Record<string, unknown>) {
    // What was said at once comes as one message of several lines.
    for (const text of String(said.text).split('\n'))
      waiting.push({ n: 0, at: String(said.at), attempt: Number(said.attempt), level: String(said.level), text })
  }

  function show() {
    frame = 0
    if (news.length) told.value = [...told.value, ...news.splice(0)].sort(byTime).slice(-MOST)
    if (!waiting.length) return
    const all = [...lines.value, ...waiting].slice(-MOST)
    waiting = []
    all.sort(byTime)
    lines.value = all.map((line, index) => (line.n === index + 1 ? line : { ...line, n: index + 1 }))
  }

  async function load() {
    try {
      const answer = await ask(api.GET('/api/v1/runs/{run_id}/log', { params: { path: { run_id: run } }, parseAs: 'text' }))
      for (const line of String(answer).split('\n')) if (line) add(JSON.parse(line))
      show()
      error.value = null
    } catch (reason) {
      error.value = problemOf(reason)
    } finally {
      loaded.value = true
    }
  }

  useLogOf(run)
  useEvents(({ type, event }) => type.startsWith('output.') && add({ type, ...event }))
  useMissed(() => void load())
  onScopeDispose(() => cancelAnimationFrame(frame))
  void load()
  return { lines, told, error, loaded }
}

const byTime = (one: { at: string }, other: { at: string }) => (one.at < other.at ? -1 : one.at > other.at ? 1 : 0)
