import { nextTick, onBeforeUnmount, shallowRef, type InjectionKey } from 'vue'
import type { Router } from 'vue-router'

/** Forms in which something was typed that is not saved: who leaves one is asked, once. */
const touched = new Set<symbol>()

/** How to leave the dialog that something stands in. */
export const LEAVE: InjectionKey<() => void> = Symbol('leave')

/** What is being asked now: <LeaveQuestion> shows it, and answers. */
export const question = shallowRef<((leave: boolean) => void) | null>(null)

export function useUnsaved() {
  const form = Symbol('form')
  const saved = () => void touched.delete(form)
  onBeforeUnmount(saved)
  return { touch: () => void touched.add(form), saved, mayLeave: async () => !touched.has(form) || mayLeaveAll() }
}

let asking: Promise<boolean> | null = null

function mayLeaveAll(): Promise<boolean> {
  asking ??= new Promise<boolean>((resolve) => (question.value = resolve)).then((leave) => {
    question.value = asking = null
    if (leave) touched.clear()
    return leave
  })
  return asking
}

/** Ask before another page takes the form's place, and before the tab is closed. */
export function guardUnsaved(router: Router) {
  router.beforeEach(async (to, from) => {
    if (to.path === from.path || to.path === '/login') return true
    await nextTick() // what has just been saved is gone then
    return touched.size === 0 || mayLeaveAll()
  })
  addEventListener('beforeunload', (event) => {
    if (touched.size) event.preventDefault()
  })
}
