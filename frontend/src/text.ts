/** Figures in words: short for reading, exact for whoever hovers. */

import { zone } from './data/zone'

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']

export function bytes(size: number | null | undefined): string {
  if (size === null || size === undefined) return '–'
  let unit = 0
  let left = size
  while (left >= 1000 && unit < UNITS.length - 1) {
    left /= 1000
    unit += 1
  }
  const digits = unit === 0 || left >= 100 ? 0 : left >= 10 ? 1 : 2
  return `${left.toFixed(digits)} ${UNITS[unit]}`
}

export const exactBytes = (size: number) => `${size.toLocaleString('en')} bytes`

const SPANS: [number, string][] = [
  [86400, 'd'],
  [3600, 'h'],
  [60, 'min'],
  [1, 's'],
]

/** `2 h 5 min`: the two largest parts. */
export function duration(seconds: number): string {
  if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))} ms`
  let left = Math.round(seconds)
  const parts: string[] = []
  for (const [span, name] of SPANS) {
    const count = Math.floor(left / span)
    left -= count * span
    if (count) parts.push(`${count} ${name}`)
    else if (parts.length) break
    if (parts.length === 2) break
  }
  return parts.join(' ')
}

const RELATIVE = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })
const STEPS: [number, number, Intl.RelativeTimeFormatUnit][] = [
  [60, 1, 'second'],
  [3600, 60, 'minute'],
  [86400, 3600, 'hour'],
  [86400 * 30, 86400, 'day'],
  [86400 * 365, 86400 * 30, 'month'],
  [Infinity, 86400 * 365, 'year'],
]

export function ago(time: Date, now: Date): string {
  const seconds = (time.getTime() - now.getTime()) / 1000
  const size = Math.abs(seconds)
  if (size < 5) return 'just now'
  const [, step, unit] = STEPS.find(([limit]) => size < limit)!
  return RELATIVE.format(Math.trunc(seconds / step), unit)
}

const LOCAL = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })
const UTC = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short', timeZone: 'UTC' })
/** A time as the reader's clock shows it, or in UTC where they chose that. */
export const local = (time: Date) => (zone.value === 'utc' ? `${UTC.format(time)} UTC` : LOCAL.format(time))
export const utc = (time: Date) => `${time.toISOString().slice(0, 19).replace('T', ' ')} UTC`

export const plural = (count: number, one: string, many = `${one}s`) =>
  `${count.toLocaleString('en')} ${count === 1 ? one : many}`

export const sentence = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

/** `backup.delete_requested` as a person says it. */
export const words = (name: string) => {
  const said = name.replaceAll('_', ' ').replaceAll('.', ' ')
  return sentence(said)
}

/** The beginning of an id, which tells apart what has no name; other keys as they are. */
export const short = (key: string) => (/^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/.test(key) ? key.slice(0, 8) : key)

/** When a day (`2026-03-01`, of the reader's clock) begins, or one some days later; '' for none. */
export function startOf(day: string, later = 0): string {
  const [year, month, date] = day.split('-').map(Number)
  if (!year || !month || !date) return ''
  const at = zone.value === 'utc' ? new Date(Date.UTC(year, month - 1, date + later)) : new Date(year, month - 1, date + later)
  return at.toISOString()
}
