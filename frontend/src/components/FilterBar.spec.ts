import { cleanup, fireEvent, render, screen } from '@testing-library/vue'
import { afterEach, expect, it, vi } from 'vitest'
import FilterBar from './FilterBar.vue'

afterEach(() => {
  cleanup()
  vi.useRealTimers()
})

it('filters once the typing pauses, and not any more when the page is left before', async () => {
  vi.useFakeTimers()
  const sought: string[] = []
  const { unmount } = render(FilterBar, { props: { 'onUpdate:modelValue': (value: string) => sought.push(value) } })
  await fireEvent.update(screen.getByLabelText('Filter by name'), 'shop ')
  await vi.advanceTimersByTimeAsync(300)
  expect(sought).toEqual(['shop'])

  await fireEvent.update(screen.getByLabelText('Filter by name'), 'orders')
  const waiting = vi.getTimerCount()
  unmount()
  expect(vi.getTimerCount()).toBe(waiting - 1)
  await vi.advanceTimersByTimeAsync(300)
  expect(sought).toEqual(['shop'])
})
