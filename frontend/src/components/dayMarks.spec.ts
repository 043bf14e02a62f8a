import { cleanup, render } from '@testing-library/vue'
import { afterEach, expect, it } from 'vitest'
import { BARS, KINDS, kindOf, MARKS } from './dayMarks'
import DayStrip from './DayStrip.vue'
import YearHeatmap from './YearHeatmap.vue'

afterEach(cleanup)

const day = (ago: number) => new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10)
const DAYS = [
  { day: day(3), completed: 4, failed: 0 },
  { day: day(2), completed: 9, failed: 1 },
  { day: day(1), completed: 0, failed: 2 },
]
/** The shapes of the days of `DAYS`, and of one without a backup. */
const shapes = (page: Element, by: (said: string) => boolean) =>
  [...page.querySelectorAll('svg path')].filter((path) => by(path.querySelector('title')?.textContent ?? '')).map((path) => path.getAttribute('d'))

it('gives each kind of day a shape of its own', () => {
  for (const drawn of [MARKS, BARS]) expect(new Set(KINDS.map((kind) => drawn[kind].d)).size).toBe(KINDS.length)
})

it('judges a day by the share that failed', () => {
  expect(kindOf({ completed: 3, failed: 1 })).toBe('some')
  expect(kindOf({ completed: 2, failed: 1 })).toBe('many')
  expect([kindOf({ completed: 1, failed: 0 }), kindOf({ completed: 0, failed: 0 })]).toEqual(['good', 'none'])
})

it.each([
  ['a year', () => render(YearHeatmap, { props: { days: DAYS } })],
  ['a strip', () => render(DayStrip, { props: { days: DAYS, label: 'shop' } })],
])('draws good, partly failed, failed and empty days of %s differently', (_, drawn) => {
  const { container } = drawn()
  const found = [...DAYS.map((one) => one.day), day(4)].flatMap((wanted) => shapes(container, (said) => said.startsWith(wanted)))

  expect(found).toHaveLength(4)
  expect(new Set(found).size).toBe(4)
})

it('names the days with failures in the words of a strip', () => {
  const { container } = render(DayStrip, { props: { days: DAYS, label: 'shop' } })

  expect(container.querySelector('title')?.textContent).toContain(`failed ones on 2 days (${day(2)}, ${day(1)})`)
})

it('says in words what the shapes of a year mean', () => {
  const { container } = render(YearHeatmap, { props: { days: DAYS } })

  expect(container.querySelector('ul')?.textContent?.replace(/\s+/g, ' ')).toContain('some failed')
})
