import { cleanup, render } from '@testing-library/vue'
import { afterEach, expect, it, vi } from 'vitest'
import { arriving } from './arriving'
import PageHeader from './PageHeader.vue'

afterEach(() => {
  cleanup()
  document.body.innerHTML = ''
})

const titled = (title: string) => render(PageHeader, { props: { title }, global: { stubs: ['RouterLink'] } })

it('names the tab after the page, also when the name changes', async () => {
  const page = titled('Backup of shop')
  expect(document.title).toBe('Backup of shop · Holdfast')
  await page.rerender({ title: 'Backup of orders' })

  expect(document.title).toBe('Backup of orders · Holdfast')
})

it('takes the focus once after a change of page, and not when the browser just came', () => {
  const focused = vi.spyOn(HTMLElement.prototype, 'focus')
  const taken = () => focused.mock.contexts.map((one) => (one as HTMLElement).textContent)
  titled('First')
  arriving()
  titled('Second')
  titled('Third')

  expect(taken()).toEqual(['Second'])
})

it('leaves the focus to what is open above the page', () => {
  document.body.innerHTML = '<dialog open><input></dialog>'
  document.querySelector('input')!.focus()
  const focused = vi.spyOn(HTMLElement.prototype, 'focus')
  arriving()
  titled('Behind')

  expect(focused).not.toHaveBeenCalled()
})
