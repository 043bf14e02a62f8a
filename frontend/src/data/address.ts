import { computed } from 'vue'
import { useRoute, useRouter } from 'vue-router'

/** A filter that lives in the page's address, so that a link shows what its sender saw. */
export function useAddress(name: string, fallback = '') {
  const route = useRoute()
  const router = useRouter()
  return computed<string>({
    get: () => {
      const value = route.query[name]
      return typeof value === 'string' ? value : fallback
    },
    set: (value) => {
      const { [name]: _dropped, ...rest } = route.query
      void router.replace({ query: value && value !== fallback ? { ...rest, [name]: value } : rest })
    },
  })
}

/** Takes several filters out of the address at once. */
export function useClearing() {
  const route = useRoute()
  const router = useRouter()
  return (names: readonly string[]) =>
    void router.replace({ query: Object.fromEntries(Object.entries(route.query).filter(([name]) => !names.includes(name))) })
}
