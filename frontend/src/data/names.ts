import { useQuery } from '@tanstack/vue-query'
import { computed } from 'vue'
import { api, ask } from '@/api/client'
import { short, words } from '@/text'
import { useAccount, type Right } from './account'

interface Named {
  id: string
  name: string
}

/** The names behind ids, of what there is not much of; for who may see them. */
function useNames<T extends Named>(noun: string, load: () => Promise<{ items: T[] }>, right: Right) {
  const { may } = useAccount()
  const { data, isSuccess } = useQuery({ queryKey: [noun, 'names'], queryFn: load, enabled: () => may(right) })
  const known = computed(() => isSuccess.value || !may(right))
  const list = computed<T[]>(() => data.value?.items ?? [])
  const names = computed(() => new Map(list.value.map((one) => [one.id, one.name])))
  const nameOf = (id: string | null | undefined, otherwise?: string) => (id ? (names.value.get(id) ?? otherwise ?? short(id)) : '–')
  return { list, nameOf, known }
}

const query = { limit: 500 } as const

const loadServers = () => ask(api.GET('/api/v1/servers', { params: { query } }))
export const useServerNames = () => useNames('servers', loadServers, 'servers.read')

/** Whether one may do something with a server and what belongs to it; the server says. */
export function useMayOn() {
  const { may, mayEverywhere } = useAccount()
  const { data } = useQuery({ queryKey: ['servers', 'names'], queryFn: loadServers, enabled: () => may('servers.read') })
  const servers = computed(() => new Map(data.value?.items.map((one) => [one.id, new Set(one.may)])))
  return (right: Right, server: string | null | undefined): boolean => {
    if (mayEverywhere(right)) return true
    if (!server || !may(right)) return false
    // Of more servers than are asked for at once, this one may be among the rest.
    return servers.value.get(server)?.has(right) ?? !!data.value?.next_cursor
  }
}
export const useStoreNames = () => useNames('stores', () => ask(api.GET('/api/v1/stores', { params: { query } })), 'stores.read')
export const useGroupNames = () => useNames('groups', () => ask(api.GET('/api/v1/server-groups', { params: { query } })), 'groups.read')
export const usePolicyNames = () =>
  useNames('policies', () => ask(api.GET('/api/v1/policies', { params: { query } })), 'policies.read')
export const useChannelNames = () =>
  useNames('channels', () => ask(api.GET('/api/v1/notifications/channels', { params: { query } })), 'notifications.read')
export const useTemplateNames = () =>
  useNames('templates', () => ask(api.GET('/api/v1/notifications/templates', { params: { query } })), 'notifications.read')
/** Databases of one name are told apart by their servers. */
export const useDatabaseNames = () =>
  useNames('databases', async () => {
    const [page, servers] = await Promise.all([
      ask(api.GET('/api/v1/databases', { params: { query } })),
      ask(api.GET('/api/v1/servers', { params: { query } })),
    ])
    return { items: toldApart('items' in page ? page.items : [], servers.items) }
  }, 'databases.read')

/** The databases, with the server's name where another has the same name. */
export function toldApart(databases: (Named & { server_id: string })[], servers: Named[]): Named[] {
  const serverOf = new Map(servers.map(({ id, name }) => [id, name]))
  const times = new Map<string, number>()
  for (const { name } of databases) times.set(name, (times.get(name) ?? 0) + 1)
  return databases.map(({ id, name, server_id }) => {
    const server = times.get(name) === 1 ? undefined : serverOf.get(server_id)
    return { id, name: server ? `${name} · ${server}` : name }
  })
}

/** What an entry of the audit log is about: `server/2f0…` by the server's name, where that is known. */
export function useObjectNames() {
  const names: Record<string, { nameOf: (id: string) => string }> = {
    server: useServerNames(),
    store: useStoreNames(),
    policy: usePolicyNames(),
    channel: useChannelNames(),
    database: useDatabaseNames(),
    user: { nameOf: useActorNames().actorOf },
  }
  return (object: string) => {
    const [noun = '', id = ''] = object.split('/')
    return { noun: words(noun), name: names[noun]?.nameOf(id) ?? short(id) }
  }
}

/** Who did something: oneself, a service, or the name of an account where one may see it. */
export function useActorNames() {
  const { account, may } = useAccount()
  const { data } = useQuery({
    queryKey: ['users', 'names'],
    queryFn: () => ask(api.GET('/api/v1/users', { params: { query } })),
    enabled: computed(() => may('users.read')),
  })
  const names = computed(() => new Map((data.value?.items ?? []).map((one) => [one.id, one.name])))
  return {
    /** `key` is the name of the API key that it is, where it is one. */
    actorOf: (actor: string, key = '') => {
      if (key) return `${key} (API key)`
      if (actor === account.value?.id) return 'You'
      if (actor.startsWith('service:')) return actor.slice(8)
      return names.value.get(actor) ?? short(actor)
    },
  }
}
