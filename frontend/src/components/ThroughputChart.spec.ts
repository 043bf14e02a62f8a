import { cleanup, render, screen } from '@testing-library/vue'
import { afterEach, expect, it } from 'vitest'
import type { Run } from '@/data/runs'
import type { Progress } from '@/live/effects'
import ThroughputChart from './ThroughputChart.vue'

afterEach(cleanup)

const told = [0, 1, 2].map((at) => ({ at: new Date(at * 1000).toISOString(), raw_bytes: at * 5e6, attempt: 1, bytes_per_s: 5e6 }) as Progress)
const running = { status: 'running', result: null } as Run
const ended = { status: 'completed', result: { raw_bytes: 10e6, seconds: 4 } } as unknown as Run

it('keeps its curve when the run ends, and then tells the average', async () => {
  const page = render(ThroughputChart, { props: { run: running, told, loaded: true } })
  expect(page.container.textContent).toContain('5.00 MB/s now')
  await page.rerender({ run: ended })

  expect(page.container.querySelector('svg')).not.toBeNull()
  expect(page.container.textContent).toContain('2.50 MB/s on average')
})

it('tells what is known of a run whose log is gone, and says so where nothing is', async () => {
  const page = render(ThroughputChart, { props: { run: ended, told: [], loaded: true } })
  expect(page.container.textContent).toContain('It read 10.0 MB in 4 s: 2.50 MB/s on average')
  await page.rerender({ run: { status: 'failed', result: null } as Run })

  expect(screen.getByText(/No figures are known/)).toBeTruthy()
})
