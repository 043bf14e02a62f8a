import { expect, it } from 'vitest'
import { preflight, type Flight } from './preflight'

const flight = (changed: object = {}, of: Partial<Flight> = {}): Flight =>
  ({
    backup: { proof: 'verified', raw_bytes: 5e9, archive: { tool: 'pg_dump', server_version: '17.6' }, ...changed },
    copies: 1,
    target: { name: 'pg-2', health: 'healthy', endpoints: [{ name: 'main', engine: { kind: 'postgresql' } }] },
    endpoint: 'main',
    engine: 'postgresql',
    name: 'shop_restored',
    taken: false,
    ...of,
  }) as unknown as Flight
const bad = (of: Flight) => preflight(of).filter(({ state }) => state === 'bad').map(({ text }) => text)
const warned = (of: Flight) => preflight(of).filter(({ state }) => state === 'warn').map(({ text }) => text)

it('has nothing against a verified backup that goes beside its original', () => {
  expect(bad(flight())).toEqual([])
  expect(warned(flight())).toEqual([])
})

it('believes most what was read with the keys', () => {
  const read = preflight(flight({ deep_verified_at: '2026-01-31T00:00:00Z' }))[0]

  expect(read).toEqual({ state: 'ok', text: 'It was read with its keys to the last byte, and is what was dumped.' })
})

it('tells of a damaged archive, and of one that no store has', () => {
  expect(bad(flight({ proof: 'corrupt' }))[0]).toContain('damaged')
  expect(bad(flight({}, { copies: 0 }))[0]).toContain('No store')
})

it('tells of a chain that is broken, in the words of the server', () => {
  const chained = { parent_id: 'p', restorability: { state: 'broken', reason: 'its full is corrupt' } }

  expect(bad(flight(chained))).toEqual(['its full is corrupt'])
})

it('compares the engine, and the versions once the target has answered', () => {
  expect(bad(flight({}, { engine: 'redis' }))[0]).toContain('of redis, the target of postgresql')
  expect(warned(flight({}, { answered: { versions: { main: '16.14' } } }))[0]).toContain('older than the source')
  expect(warned(flight({}, { answered: { versions: { main: '18.1' } } }))).toEqual([])
})

it('believes what the target says now over what it said before', () => {
  const problem = { code: 'source.unreachable', cause: 'nobody listens there' }

  expect(bad(flight({}, { answered: { problem } }))).toEqual(['The target does not answer: nobody listens there'])
})

it('says what nobody knows as that', () => {
  const unknown = preflight(flight({}, { target: undefined, engine: undefined, name: '' }))

  expect(unknown.filter(({ state }) => state === 'none').length).toBeGreaterThan(3)
})
