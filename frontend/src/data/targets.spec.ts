import { expect, it } from 'vitest'
import { endpointFor } from './targets'

const ENDPOINTS = [
  { name: 'cache', engine: { kind: 'redis' } },
  { name: 'main', engine: { kind: 'postgresql' } },
  { name: 'other', engine: { kind: 'postgresql' } },
]

it('keeps the endpoint that a server has, too', () => {
  expect(endpointFor(ENDPOINTS, 'other', 'postgresql')).toBe('other')
})

it('never keeps one that the server has not, nor one of another engine', () => {
  expect(endpointFor(ENDPOINTS, 'gone', 'postgresql')).toBe('main')
  expect(endpointFor(ENDPOINTS, 'cache', 'postgresql')).toBe('main')
  expect(endpointFor(ENDPOINTS, 'main', 'mongodb')).toBe('')
})

it('goes by the name where nobody knows the engine', () => {
  expect(endpointFor(ENDPOINTS, 'other')).toBe('other')
  expect(endpointFor([], 'main')).toBe('')
})
