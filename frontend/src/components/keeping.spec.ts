import { describe, expect, it } from 'vitest'
import { kept, PRESETS, type Rules } from './keeping'

const NOTHING: Rules = { keep_last: 0, keep_days: 0, keep_daily: 0, keep_weekly: 0, keep_monthly: 0, keep_yearly: 0 }
const nights = (count: number, newest = '2026-03-31') =>
  Array.from({ length: count }, (_, index) => new Date(Date.parse(newest) - index * 86_400_000))

describe('what a policy keeps of a year of nights', () => {
  it('keeps nothing without a rule', () => expect(kept(nights(365), NOTHING).size).toBe(0))

  it('keeps the newest of each month, and says why', () => {
    const staying = kept(nights(365), { ...NOTHING, keep_monthly: 3 })

    expect([...staying]).toEqual([
      ['2026-03-31', 'monthly'],
      ['2026-02-28', 'monthly'],
      ['2026-01-31', 'monthly'],
    ])
  })

  it('counts a week from its Monday', () => {
    const staying = kept(nights(15), { ...NOTHING, keep_weekly: 2 })

    expect([...staying.keys()]).toEqual(['2026-03-31', '2026-03-29'])
  })

  it('never keeps a night twice, whatever rules ask for it', () => {
    for (const { of } of PRESETS) {
      const staying = kept(nights(800), of)
      const most = Object.values(of).reduce((sum, count) => sum + count, 0)

      expect(staying.size).toBeGreaterThanOrEqual(of.keep_last)
      expect(staying.size).toBeLessThanOrEqual(most)
    }
  })
})
