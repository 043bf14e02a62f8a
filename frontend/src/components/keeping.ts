/** What a policy keeps of one backup a night: the picture of it. The server alone decides for real. */

export interface Rules {
  keep_last: number
  keep_days: number
  keep_daily: number
  keep_weekly: number
  keep_monthly: number
  keep_yearly: number
}

/** What most people want, to begin with. */
export const PRESETS: { name: string; of: Rules }[] = [
  { name: 'Development', of: { keep_last: 3, keep_days: 0, keep_daily: 0, keep_weekly: 0, keep_monthly: 0, keep_yearly: 0 } },
  { name: 'Standard', of: { keep_last: 3, keep_days: 0, keep_daily: 7, keep_weekly: 4, keep_monthly: 12, keep_yearly: 0 } },
  { name: 'Critical', of: { keep_last: 7, keep_days: 14, keep_daily: 30, keep_weekly: 13, keep_monthly: 24, keep_yearly: 7 } },
]

const DAY_MS = 86_400_000

const monday = (day: Date) => new Date(day.getTime() - ((day.getUTCDay() + 6) % 7) * DAY_MS).toISOString().slice(0, 10)
const SLOTS: [keyof Rules, (day: Date) => string][] = [
  ['keep_daily', (day) => day.toISOString().slice(0, 10)],
  ['keep_weekly', monday],
  ['keep_monthly', (day) => day.toISOString().slice(0, 7)],
  ['keep_yearly', (day) => day.toISOString().slice(0, 4)],
]

/** The days of `days` (the newest first) whose backup stays, and why. */
export function kept(days: Date[], rules: Rules): Map<string, string> {
  const found = new Map<string, string>()
  const keep = (day: Date, why: string) => {
    const name = day.toISOString().slice(0, 10)
    if (!found.has(name)) found.set(name, why)
  }
  days.slice(0, rules.keep_last).forEach((day) => keep(day, 'last'))
  days.slice(0, rules.keep_days).forEach((day) => keep(day, 'days'))
  for (const [rule, slotOf] of SLOTS) {
    const slots = new Set<string>()
    for (const day of days) {
      const slot = slotOf(day)
      if (slots.has(slot) || slots.size >= rules[rule]) continue
      slots.add(slot)
      keep(day, rule.replace('keep_', ''))
    }
  }
  return found
}
