import { useMutation, useQuery } from '@tanstack/vue-query'
import { toValue, type MaybeRefOrGetter } from 'vue'
import { api, ask, seen, type Schemas } from '@/api/client'
import { usePages } from './pages'

export type Server = Schemas['Server']
export type Database = Schemas['Database']

interface WantedDatabases {
  server_id?: string
  name?: string
  limit?: number
}

export const useDatabases = (wanted: MaybeRefOrGetter<WantedDatabases> = {}) =>
  usePages<Database>(
    () => ['databases', 'list', toValue(wanted)],
    async (cursor) => {
      const { server_id, name, limit = 50 } = toValue(wanted)
      const query = { server_id: server_id || undefined, name: name || undefined, limit, cursor }
      const page = await ask(api.GET('/api/v1/databases', { params: { query } }))
      return 'items' in page ? page : { items: [] }
    },
  )

export const useDatabase = (id: MaybeRefOrGetter<string>) =>
  useQuery({
    queryKey: ['databases', 'one', id],
    queryFn: () => ask(api.GET('/api/v1/databases/{database_id}', { params: { path: { database_id: toValue(id) } } })),
  })

interface WantedServers {
  name?: string
  health?: string
  group?: string
}

export const useServers = (wanted: MaybeRefOrGetter<WantedServers> = {}) =>
  usePages<Server>(
    () => ['servers', 'list', toValue(wanted)],
    (cursor) => {
      const { name, health, group } = toValue(wanted)
      const query = { name: name || undefined, health: (health || undefined) as never, group_id: group || undefined, limit: 50, cursor }
      return ask(api.GET('/api/v1/servers', { params: { query } }))
    },
  )

export const useServer = (id: MaybeRefOrGetter<string>) =>
  useQuery({
    queryKey: ['servers', 'one', id],
    queryFn: () => ask(api.GET('/api/v1/servers/{server_id}', { params: { path: { server_id: toValue(id) } } })),
    enabled: () => !!toValue(id),
  })

export const useSaveServer = () =>
  useMutation({
    mutationFn: ({ body, key, before }: { body: Schemas['NewServer']; key: string; before?: Server }) =>
      before
        ? ask(
            api.PUT('/api/v1/servers/{server_id}', {
              body,
              params: { path: { server_id: before.id }, header: { 'If-Match': seen(before.version) } },
            }),
          )
        : ask(api.POST('/api/v1/servers', { body, params: { header: { 'Idempotency-Key': key } } })),
  })

export const useDeleteServer = () =>
  useMutation({
    mutationFn: ({ id, version }: Server) =>
      ask(
        api.DELETE('/api/v1/servers/{server_id}', {
          params: { path: { server_id: id }, header: { 'If-Match': seen(version) } },
        }),
      ),
  })

/** Sign in there and look; both answer with a problem where it fails. */
export const useTestServer = () =>
  useMutation({
    mutationFn: (id: string) =>
      ask(api.POST('/api/v1/servers/{server_id}/test-connection', { params: { path: { server_id: id } } })),
  })

export const useDiscover = () =>
  useMutation({
    mutationFn: (id: string) =>
      ask(api.GET('/api/v1/servers/{server_id}/databases', { params: { path: { server_id: id } } })),
  })
