import { expect, it } from 'vitest'
import type { Progress } from '@/live/effects'
import { ratesOf } from './rates'

const said = (second: number, raw_bytes: number, attempt = 1) =>
  ({ at: new Date(second * 1000).toISOString(), raw_bytes, attempt, bytes_per_s: 7 }) as Progress

it('tells how fast it was between what a run said', () => {
  const rates = ratesOf([said(0, 0), said(2, 200), said(3, 500)])

  expect(rates.map(({ rate }) => rate)).toEqual([7, 100, 300])
})

it('begins anew with a new attempt, and is never negative', () => {
  expect(ratesOf([said(0, 900), said(1, 0, 2), said(2, 50, 2)]).map(({ rate }) => rate)).toEqual([7, 50])
})

it('keeps the whole of a long run in few points, its end among them', () => {
  const rates = ratesOf(Array.from({ length: 10_000 }, (_, at) => said(at, at * 10)))

  expect(rates.length).toBeLessThanOrEqual(240)
  expect(rates.at(-1)!.total).toBe(99_990)
  expect(new Set(rates.slice(1).map(({ rate }) => rate))).toEqual(new Set([10]))
})
