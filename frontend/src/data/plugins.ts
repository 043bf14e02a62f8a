import { useQuery } from '@tanstack/vue-query'
import { computed } from 'vue'
import { api, ask } from '@/api/client'
import type { PluginSchema } from '@/components/schema'
import { words } from '@/text'

/** The forms of all plug-ins of a kind, as the services announce them. */
export function usePlugins(kind: 'engine' | 'runner' | 'store' | 'channel') {
  const { data, error } = useQuery({
    queryKey: ['plugins'],
    queryFn: () => ask(api.GET('/api/v1/plugins')),
    staleTime: 300_000,
  })
  const schemas = computed(() => (data.value?.[kind] ?? {}) as Record<string, PluginSchema>)
  const titleOf = (name: unknown) => schemas.value[String(name)]?.title ?? words(String(name))
  /** What is set of a plug-in, in the words of its form. */
  const factsOf = (config: Record<string, unknown>) => {
    const properties = schemas.value[String(config.kind)]?.properties ?? {}
    return Object.entries(config)
      .filter(([name, value]) => name !== 'kind' && value !== '' && value !== null)
      .map(([name, value]) => ({ name: properties[name]?.title ?? words(name), value: value === true ? 'yes' : value === false ? 'no' : String(value) }))
  }
  return { schemas, titleOf, factsOf, error }
}
