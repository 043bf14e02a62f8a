/** The common shapes of cron expressions in words; '' for one that is better read as it stands. */

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday']
const NAMES = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

export function cronWords(cron: string): string {
  const [minute, hour, date, month, day, ...rest] = cron.trim().toLowerCase().split(/\s+/)
  if (!minute || !hour || !date || !month || !day || rest.length || month !== '*') return ''
  if (date !== '*' && day !== '*') return ''
  const when = timeOf(minute, hour)
  const on = date === '*' ? daysOf(day) : datesOf(date)
  if (!when || on === null) return ''
  // "at 02:00" needs a day, "every 15 minutes" does not.
  const said = [when, on || (when.startsWith('at') ? 'every day' : '')].filter(Boolean)
  return said.join(' ').replace(/^./, (first) => first.toUpperCase())
}

function timeOf(minute: string, hour: string): string {
  if (minute === '*') return hour === '*' ? 'every minute' : ''
  const step = stepOf(minute, 59)
  if (step) return hour === '*' ? `every ${step} minutes` : within(`every ${step} minutes`, hour, 0, 60 - step)
  const minutes = numbersOf(minute, 59)
  if (minutes?.length !== 1) return ''
  const past = minutes[0] === 0 ? '' : ` at ${minutes[0]} past`
  if (hour === '*') return minutes[0] === 0 ? 'every hour' : `every hour${past}`
  const hours = stepOf(hour, 23)
  if (hours) return `every ${hours} hours${past}`
  if (hour.includes('-')) return within('every hour', hour, minutes[0]!, minutes[0]!)
  const times = numbersOf(hour, 23)
  return times ? `at ${listed(times.map((one) => `${two(one)}:${two(minutes[0]!)}`))}` : ''
}

/** On which days of the week: '' for all, null where that is not plain. */
function daysOf(day: string): string | null {
  if (day === '*') return ''
  const numbered = day.replace(/[a-z]{3}/g, (name) => (NAMES.includes(name) ? String(NAMES.indexOf(name)) : name))
  if (numbered === '1-5') return 'on weekdays'
  const range = /^([0-7])-([0-7])$/.exec(numbered)
  if (range) return `from ${DAYS[Number(range[1])]} to ${DAYS[Number(range[2])]}`
  const days = numbersOf(numbered, 7)
  return days && `on ${listed(days.map((one) => `${DAYS[one]}s`))}`
}

function datesOf(date: string): string | null {
  if (date === 'l') return 'on the last day of the month'
  const dates = numbersOf(date, 31)
  return dates && `on day ${listed(dates.map(String))} of the month`
}

function stepOf(text: string, most: number): number | null {
  const found = /^(?:\*|0)\/(\d+)$/.exec(text)
  const step = Number(found?.[1])
  // Others begin anew at the end, so their steps are not all alike.
  return step > 1 && step <= most && (most + 1) % step === 0 ? step : null
}

/** What happens in a range of hours, from its first minute to its last; '' where it is none. */
function within(what: string, hours: string, first: number, last: number): string {
  const found = /^(\d{1,2})-(\d{1,2})$/.exec(hours)
  const [from, to] = [Number(found?.[1]), Number(found?.[2])]
  return from < to && to < 24 ? `${what} from ${two(from)}:${two(first)} to ${two(to)}:${two(last)}` : ''
}

function numbersOf(text: string, most: number): number[] | null {
  const parts = text.split(',')
  return parts.every((one) => /^\d{1,2}$/.test(one) && Number(one) <= most) ? parts.map(Number) : null
}

const two = (number: number) => String(number).padStart(2, '0')
const listed = (parts: string[]) => (parts.length > 1 ? `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)}` : parts[0]!)
