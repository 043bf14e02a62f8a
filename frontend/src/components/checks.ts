import type { Schemas } from '@/api/client'

/** A check as it is typed: what is wanted of the answer is chosen first. */
export interface CheckWanted {
  name: string
  query: string
  how: 'row' | 'expected' | 'at_least'
  value: string
  database_ids: string[]
}

type Given = Pick<Schemas['CheckInput'], 'name' | 'query'> & Partial<Schemas['CheckInput']>

export const typedOf = (check: Given): CheckWanted => {
  const how = typeof check.expected === 'string' ? 'expected' : typeof check.at_least === 'number' ? 'at_least' : 'row'
  return { name: check.name, query: check.query, how, value: String(how === 'row' ? '' : check[how]), database_ids: check.database_ids ?? [] }
}

export const sentOf = ({ name, query, how, value, database_ids }: CheckWanted): Schemas['CheckInput'] => ({
  name,
  query,
  expected: how === 'expected' ? String(value) : null,
  at_least: how === 'at_least' ? Number(value) : null,
  database_ids,
})
