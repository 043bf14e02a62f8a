import { expect, it } from 'vitest'
import { firstPlace, mayPut, whereInstead } from './places'

const reach = (environments: string[], group_ids: string[] = []) => ({ environments, group_ids })

it('lets a server stand where one of its environment and groups is within reach', () => {
  expect(mayPut(null, 'production', [])).toBe(true)
  expect(mayPut(reach(['staging']), 'staging', ['other'])).toBe(true)
  expect(mayPut(reach([], ['g']), 'production', ['other', 'g'])).toBe(true)
  expect(mayPut(reach(['staging'], ['g']), 'production', ['other'])).toBe(false)
})

it('begins in production, or where one may', () => {
  expect(firstPlace(null)).toEqual({ environment: 'production', groups: [] })
  expect(firstPlace(reach(['production', 'a']))).toEqual({ environment: 'production', groups: [] })
  expect(firstPlace(reach(['staging'], ['g']))).toEqual({ environment: 'staging', groups: [] })
  expect(firstPlace(reach([], ['g']))).toEqual({ environment: 'production', groups: ['g'] })
  expect(firstPlace(reach([], ['g', 'h']))).toEqual({ environment: 'production', groups: [] })
})

it('tells where a server may be instead', () => {
  expect(whereInstead(reach(['staging'], ['g']), () => 'shops')).toContain('only in staging or the group shops.')
  expect(whereInstead(reach([]), String)).toContain('nowhere')
})
