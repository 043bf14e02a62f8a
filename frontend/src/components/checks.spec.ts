import { expect, it } from 'vitest'
import { sentOf, typedOf } from './checks'

const of = { name: 'orders', query: 'select count(*) from orders', database_ids: ['d1'] }

it('sends what it was given, whichever way the answer is judged', () => {
  for (const wanted of [{ expected: '' }, { expected: 'EUR' }, { at_least: 0 }, { at_least: 1000.5 }, {}]) {
    const given = { ...of, expected: null, at_least: null, ...wanted }

    expect(sentOf(typedOf(given))).toEqual(given)
  }
})

it('drops the value of a way that is no longer chosen', () => {
  const typed = { ...typedOf({ ...of, expected: 'EUR' }), how: 'row' as const }

  expect(sentOf(typed)).toEqual({ ...of, expected: null, at_least: null })
})
