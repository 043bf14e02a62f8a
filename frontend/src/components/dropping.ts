import { shallowRef, watch, type Ref } from 'vue'
import { done } from './toasts'

interface Removal<Thing> {
  mutateAsync: (thing: Thing) => Promise<unknown>
  isPending: Ref<boolean>
  error: Ref<Error | null>
  reset: () => void
}

/** What is about to be deleted, and its deletion; `said` tells of it. Why another one could not be goes with that one. */
export function useDropping<Thing>({ mutateAsync: remove, isPending, error, reset }: Removal<Thing>, said: [text: string, detail?: string] = ['Deleted']) {
  const dropping = shallowRef<Thing | null>(null)
  watch(dropping, () => reset())

  /** A refusal is shown by the dialog that asks, which stays. */
  async function drop() {
    const thing = dropping.value!
    try {
      await remove(thing)
    } catch {
      return
    }
    if (dropping.value === thing) dropping.value = null
    done(...said)
  }
  return { dropping, drop, isPending, error }
}
