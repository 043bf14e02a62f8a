import { computed, shallowReactive } from 'vue'

/** The dialogs that are open, the topmost last: the browser draws them above everything else. */
const open = shallowReactive<HTMLDialogElement[]>([])

/** Where something has to be drawn that shall be seen, and reached, above all else. */
export const topmost = computed(() => open.at(-1))

export const opened = (dialog: HTMLDialogElement) => open.push(dialog)

export function closed(dialog: HTMLDialogElement) {
  const at = open.indexOf(dialog)
  if (at >= 0) open.splice(at, 1)
}
