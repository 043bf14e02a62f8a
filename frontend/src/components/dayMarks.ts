/** How a day of backups is drawn: its shape tells what became of them, for whom colours tell nothing. */
export type DayKind = 'good' | 'some' | 'many' | 'none'

/** From this share of failures on, many of them failed. */
const MANY = 0.25

export function kindOf({ completed, failed }: { completed: number; failed: number }): DayKind {
  if (!failed) return completed ? 'good' : 'none'
  return failed / (failed + completed) > MANY ? 'many' : 'some'
}

/** In a square of 11 units: a full one, a hollow one, a cross, a dot. */
export const MARKS: Record<DayKind, { d: string; class: string; name: string }> = {
  good: { d: 'M2 0H9A2 2 0 0 1 11 2V9A2 2 0 0 1 9 11H2A2 2 0 0 1 0 9V2A2 2 0 0 1 2 0Z', class: 'fill-ok-mark', name: 'all good' },
  some: {
    d: 'M2 0H9A2 2 0 0 1 11 2V9A2 2 0 0 1 9 11H2A2 2 0 0 1 0 9V2A2 2 0 0 1 2 0ZM3.5 3.5V7.5H7.5V3.5Z',
    class: 'fill-warn-mark',
    name: 'some failed',
  },
  many: { d: 'M2.2 0L5.5 3.3L8.8 0L11 2.2L7.7 5.5L11 8.8L8.8 11L5.5 7.7L2.2 11L0 8.8L3.3 5.5L0 2.2Z', class: 'fill-bad-mark', name: 'more than a quarter failed' },
  none: { d: 'M4 4H7V7H4Z', class: 'fill-line-strong', name: 'no backup' },
}

/** The same for a bar of a strip, in 4 by 20 units: whole, cut in two, half, a tick. */
export const BARS: Record<DayKind, { d: string; class: string; name: string }> = {
  good: { d: 'M0 2H4V20H0Z', class: 'fill-ok-mark', name: 'all good' },
  some: { d: 'M0 2H4V9H0ZM0 12H4V20H0Z', class: 'fill-warn-mark', name: 'some failed' },
  many: { d: 'M0 12H4V20H0Z', class: 'fill-bad-mark', name: 'all failed' },
  none: { d: 'M0 18H4V20H0Z', class: 'fill-line-strong', name: 'no backup' },
}

export const KINDS: readonly DayKind[] = ['good', 'some', 'many', 'none']
