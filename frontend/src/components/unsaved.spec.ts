import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/vue'
import { afterEach, expect, it } from 'vitest'
import { defineComponent, h } from 'vue'
import { createMemoryHistory, createRouter, RouterView } from 'vue-router'
import CancelButton from './CancelButton.vue'
import LeaveQuestion from './LeaveQuestion.vue'
import UiButton from './UiButton.vue'
import UiDialog from './UiDialog.vue'
import { guardUnsaved, useUnsaved } from './unsaved'

afterEach(cleanup)

const asked = () => screen.queryByText('Leave without saving?')

function openDialog(given: Record<string, unknown> = {}) {
  const closed: number[] = []
  const dialog = () =>
    h(UiDialog, { title: 'New thing', onClose: () => closed.push(1), ...given }, () => [h('input', { 'aria-label': 'Name' }), h(CancelButton)])
  render(defineComponent(() => () => [dialog(), h(LeaveQuestion)]))
  return closed
}

it('closes a dialog in which nothing was typed without a question', async () => {
  const closed = openDialog()

  await fireEvent.click(screen.getByText('Cancel'))

  await waitFor(() => expect(closed).toHaveLength(1))
  expect(asked()).toBeNull()
})

it.each([
  ['the cross', () => fireEvent.click(screen.getAllByLabelText('Close')[0]!)],
  ['Cancel', () => fireEvent.click(screen.getByText('Cancel'))],
  ['Escape', () => fireEvent.keyDown(screen.getByLabelText('Name'), { key: 'Escape' })],
])('asks before %s closes a dialog in which something was typed', async (_how, leave) => {
  const closed = openDialog()
  await fireEvent.update(screen.getByLabelText('Name'), 'orders')

  await leave()
  await waitFor(() => expect(asked()).not.toBeNull())
  await fireEvent.click(screen.getByText('Stay'))
  await waitFor(() => expect(asked()).toBeNull())
  expect(closed).toHaveLength(0)

  await leave()
  await waitFor(() => expect(asked()).not.toBeNull())
  await fireEvent.click(screen.getByText('Leave'))
  await waitFor(() => expect(closed).toHaveLength(1))
})

it('counts what a button fills in as typed, and what another button does not', async () => {
  const closed: number[] = []
  const buttons = () => [h(UiButton, () => 'Look'), h(UiButton, { fills: true }, () => 'Standard'), h(CancelButton)]
  const dialog = () => h(UiDialog, { title: 'New thing', onClose: () => closed.push(1) }, buttons)
  const view = render(defineComponent(() => () => [dialog(), h(LeaveQuestion)]))
  await fireEvent.click(screen.getByText('Standard'))
  await fireEvent.click(screen.getByText('Cancel'))
  await waitFor(() => expect(asked()).not.toBeNull())
  await fireEvent.click(screen.getByText('Leave'))
  await waitFor(() => expect(closed).toHaveLength(1))

  view.unmount()
  render(defineComponent(() => () => [dialog(), h(LeaveQuestion)]))
  await fireEvent.click(screen.getByText('Look'))
  await fireEvent.click(screen.getByText('Cancel'))
  await waitFor(() => expect(closed).toHaveLength(2))
  expect(asked()).toBeNull()
})

it('asks nothing where nothing can be lost any more', async () => {
  const closed = openDialog({ done: true })
  await fireEvent.update(screen.getByLabelText('Name'), 'orders')

  await fireEvent.click(screen.getByText('Cancel'))

  await waitFor(() => expect(closed).toHaveLength(1))
})

async function openForm() {
  const Form = defineComponent(() => {
    const { touch, saved } = useUnsaved()
    return () => h('form', { onInput: touch }, [h('input', { 'aria-label': 'Name' }), h('button', { type: 'button', onClick: saved }, 'Save')])
  })
  const Other = defineComponent(() => () => h('p', 'Elsewhere'))
  const router = createRouter({ history: createMemoryHistory(), routes: [{ path: '/', component: Form }, { path: '/other', component: Other }, { path: '/login', component: Other }] })
  guardUnsaved(router)
  render(defineComponent(() => () => [h(RouterView), h(LeaveQuestion)]), { global: { plugins: [router] } })
  await router.push('/')
  await fireEvent.update(await screen.findByLabelText('Name'), 'orders')
  return router
}

it('asks once before another page takes the place of a form, and stays when told so', async () => {
  const router = await openForm()

  const going = router.push('/other')
  await waitFor(() => expect(asked()).not.toBeNull())
  await fireEvent.click(screen.getByText('Stay'))
  await going
  expect(router.currentRoute.value.path).toBe('/')

  const again = router.push('/other')
  await waitFor(() => expect(asked()).not.toBeNull())
  await fireEvent.click(screen.getByText('Leave'))
  await again
  expect(router.currentRoute.value.path).toBe('/other')
  await router.push('/')
  expect(router.currentRoute.value.path).toBe('/')
})

it('leaves a form that was saved, and one whose session is over, without a question', async () => {
  const router = await openForm()
  await fireEvent.click(screen.getByText('Save'))
  await router.push('/other')
  expect(router.currentRoute.value.path).toBe('/other')
  cleanup()

  const second = await openForm()
  await second.push('/login')
  expect(second.currentRoute.value.path).toBe('/login')
})
