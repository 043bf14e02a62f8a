import { expect, it } from 'vitest'
import { whatOf, type Run } from './runs'

const said = (of: Partial<Run>) => whatOf(of as Run)

it('says of a run what it is about', () => {
  expect(said({ kind: 'backup', object_name: 'shop' })).toBe('Backup of shop')
  expect(said({ kind: 'restore', object_name: 'shop', target_name: 'shop_again' })).toBe('Restore of shop into shop_again')
  expect(said({ kind: 'restore', object_name: 'shop', target_name: 'shop', test: true })).toBe('Restore test of shop')
  expect(said({ kind: 'verification', object_name: 'shop', target_name: 'shop' })).toBe('Verification of shop')
  expect(said({ kind: 'command', object_name: 'vacuum' })).toBe('Command vacuum')
})

it('says less where less is known', () => {
  expect(said({ kind: 'restore', target_name: 'shop_again' })).toBe('Restore into shop_again')
  expect(said({ kind: 'discovery' })).toBe('Discovery')
  expect(said({ kind: 'backup' })).toBe('Backup')
})
