import { expect, it, vi } from 'vitest'
import { nextTick, ref } from 'vue'
import { useDropping } from './dropping'
import { toasts } from './toasts'

const removal = (mutateAsync: () => Promise<unknown>) => ({ mutateAsync: vi.fn(mutateAsync), isPending: ref(false), error: ref<Error | null>(null), reset: vi.fn() })

it('deletes what was chosen, says so and asks no longer', async () => {
  const asked = removal(async () => {})
  const { dropping, drop } = useDropping<string>(asked, ['Deleted', 'for ever'])
  dropping.value = 'one'
  await drop()
  expect(asked.mutateAsync).toHaveBeenCalledWith('one')
  expect(dropping.value).toBeNull()
  expect(toasts.at(-1)).toMatchObject({ text: 'Deleted', detail: 'for ever' })
})

it('goes on asking after a refusal, and forgets it for another thing', async () => {
  const asked = removal(() => Promise.reject(new Error('in use')))
  const { dropping, drop } = useDropping<string>(asked)
  dropping.value = 'one'
  await nextTick()
  const told = toasts.length
  await drop()
  expect(dropping.value).toBe('one')
  expect(toasts).toHaveLength(told)
  dropping.value = 'another'
  await nextTick()
  expect(asked.reset).toHaveBeenCalledTimes(2)
})
