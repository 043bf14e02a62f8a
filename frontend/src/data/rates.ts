import type { Progress } from '@/live/effects'

/** How much was read until when, and how fast since the point before. */
export interface Rate {
  at: number
  total: number
  rate: number
}

const MOST = 240

/** What a run said of its progress as a curve: of its newest attempt, in no more points than a picture has room for. */
export function ratesOf(told: readonly Progress[]): Rate[] {
  const attempt = told.at(-1)?.attempt
  const own = told.filter((one) => one.attempt === attempt)
  const every = Math.ceil(own.length / MOST)
  // The newest is always among them: it is what reads "now".
  const kept = own.filter((_, index) => (own.length - 1 - index) % every === 0)
  return kept.map((one, index) => {
    const at = Date.parse(one.at)
    const before = kept[index - 1]
    if (!before) return { at, total: one.raw_bytes, rate: one.bytes_per_s }
    const seconds = (at - Date.parse(before.at)) / 1000
    return { at, total: one.raw_bytes, rate: seconds > 0 ? Math.max(0, one.raw_bytes - before.raw_bytes) / seconds : 0 }
  })
}
