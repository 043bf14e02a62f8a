import { expect, it } from 'vitest'
import { proofOf } from './backups'

const backup = { status: 'completed', proof: 'verified' } as const

it('says of a whole archive whose chain is broken that the chain is', () => {
  expect(proofOf({ ...backup, restorability: { state: 'broken', reason: 'its full was found corrupt' } })).toEqual({ status: 'corrupt', text: 'Broken chain' })
})

it('says of an archive what was found in it', () => {
  expect(proofOf({ ...backup, restorability: { state: 'proven', reason: '' } })?.status).toBe('verified')
  expect(proofOf({ ...backup, proof: 'corrupt', restorability: { state: 'broken', reason: '' } })).toEqual({ status: 'corrupt', text: undefined })
})

it('says nothing while nothing is known, or nothing stands', () => {
  expect(proofOf({ ...backup, proof: 'unverified' })).toBeNull()
  expect(proofOf({ ...backup, status: 'expired' })).toBeNull()
})
