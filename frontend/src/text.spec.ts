import { describe, expect, it } from 'vitest'
import { ago, bytes, duration, short, startOf, words } from './text'

describe('figures in words', () => {
  it.each([
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.00 kB'],
    [12_345_678, '12.3 MB'],
    [8_050_000_000_000, '8.05 TB'],
    [null, '–'],
  ])('says %s bytes as %s', (size, said) => expect(bytes(size)).toBe(said))

  it.each([
    [0.25, '250 ms'],
    [59.6, '1 min'],
    [3725, '1 h 2 min'],
    [90061, '1 d 1 h'],
    [86400 + 5, '1 d'],
  ])('says %s seconds as %s', (seconds, said) => expect(duration(seconds)).toBe(said))

  it('says when, as a person would', () => {
    const now = new Date('2026-03-29T12:00:00Z')

    expect(ago(new Date('2026-03-29T11:59:58Z'), now)).toBe('just now')
    expect(ago(new Date('2026-03-29T09:00:00Z'), now)).toBe('3 hours ago')
    expect(ago(new Date('2026-03-30T12:00:00Z'), now)).toBe('tomorrow')
  })

  it('says a type of event in words', () => {
    expect(words('backup.delete_requested')).toBe('Backup delete requested')
  })
})

describe('a day as a span of time', () => {
  it('begins when it does where the reader is, and ends when the next begins', () => {
    expect(startOf('2026-03-01')).toBe(new Date(2026, 2, 1).toISOString())
    expect(startOf('2026-02-28', 1)).toBe(new Date(2026, 2, 1).toISOString())
  })
  it('is none where no day is chosen', () => expect(startOf('')).toBe(''))
})

it('shortens ids, and nothing that is a name already', () => {
  expect(short('0198c0de-7000-7000-8000-00000000c0de')).toBe('0198c0de')
  expect(['scheduler', 'master', 'all', '12345678901'].map(short)).toEqual(['scheduler', 'master', 'all', '12345678901'])
})
