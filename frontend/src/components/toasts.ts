import { reactive } from 'vue'
import { problemOf } from '@/api/problem'

export interface Toast {
  id: number
  tone: 'ok' | 'bad'
  text: string
  detail: string
  /** Takes back what was done; there where that is possible. */
  undo?: () => Promise<unknown>
}

/** What was just done, said once: good news goes away by itself, bad news stays. */
export const toasts = reactive<Toast[]>([])
const SHOWN_MS = 5000
const UNDOABLE_MS = 12_000
let next = 1

function show(said: Omit<Toast, 'id'>) {
  const id = next++
  toasts.push({ id, ...said })
  if (said.tone === 'ok') setTimeout(() => dismiss(id), said.undo ? UNDOABLE_MS : SHOWN_MS)
}

export const done = (text: string, detail = '', undo?: Toast['undo']) => show({ tone: 'ok', text, detail, undo })

export function failed(error: unknown) {
  const problem = problemOf(error)
  show({ tone: 'bad', text: problem.message, detail: problem.fix })
}

export function dismiss(id: number) {
  const at = toasts.findIndex((toast) => toast.id === id)
  if (at >= 0) toasts.splice(at, 1)
}

/** Take back what a toast tells, once, and say how that went. */
export async function takeBack(toast: Toast) {
  dismiss(toast.id)
  try {
    await toast.undo?.()
    done('Taken back')
  } catch (reason) {
    failed(reason)
  }
}
