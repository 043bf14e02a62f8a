import { expect, it } from 'vitest'
import { cronWords } from './cron'

it.each([
  ['0 2 * * *', 'At 02:00 every day'],
  ['30 2,14 * * *', 'At 02:30 and 14:30 every day'],
  ['0 */6 * * *', 'Every 6 hours'],
  ['15 */6 * * *', 'Every 6 hours at 15 past'],
  ['0 * * * *', 'Every hour'],
  ['5 * * * *', 'Every hour at 5 past'],
  ['*/15 * * * *', 'Every 15 minutes'],
  ['*/15 9-17 * * 1-5', 'Every 15 minutes from 09:00 to 17:45 on weekdays'],
  ['30 8-18 * * *', 'Every hour from 08:30 to 18:30'],
  ['0 3 * * 0', 'At 03:00 on Sundays'],
  ['0 3 * * mon,thu', 'At 03:00 on Mondays and Thursdays'],
  ['0 3 * * 7', 'At 03:00 on Sundays'],
  ['0 4 1 * *', 'At 04:00 on day 1 of the month'],
])('says %s as: %s', (cron, said) => expect(cronWords(cron)).toBe(said))

it.each(['', '* *', '0 2 1 * 1', '0 2 * 1 *', '*/7 * * * *', '0 25 * * *', '1-10/3 2 * * *', '0 2 * * 1#2', '@daily', 'x 2 * * *'])(
  'leaves %s as it stands, for it would say it wrongly',
  (cron) => expect(cronWords(cron)).toBe(''),
)
