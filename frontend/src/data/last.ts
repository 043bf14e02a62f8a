import { shallowRef, watch, type Ref } from 'vue'

/** What a query last had: a page stays filled while it asks for another thing of the kind. */
export function useLast<T>(now: Ref<T | undefined>): Readonly<Ref<T | undefined>> {
  const last = shallowRef<T>()
  watch(now, (value) => value !== undefined && (last.value = value), { immediate: true })
  return last
}
