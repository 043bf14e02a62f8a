import { useMutation, useQuery } from '@tanstack/vue-query'
import { toValue, type MaybeRefOrGetter } from 'vue'
import { api, ask, seen, type Schemas } from '@/api/client'
import { usePages } from './pages'

export type Store = Schemas['StoreShown']

export const useStores = (wanted: MaybeRefOrGetter<{ name?: string }> = {}) =>
  usePages<Store>(
    () => ['stores', 'list', toValue(wanted)],
    (cursor) => {
      const query = { name: toValue(wanted).name || undefined, limit: 50, cursor }
      return ask(api.GET('/api/v1/stores', { params: { query } }))
    },
  )

const at = (id: string) => ({ path: { store_id: id } })

export const useStore = (id: MaybeRefOrGetter<string>) =>
  useQuery({
    queryKey: ['stores', 'one', id],
    queryFn: () => ask(api.GET('/api/v1/stores/{store_id}', { params: at(toValue(id)) })),
    enabled: () => !!toValue(id),
  })

export const useUsage = (id: MaybeRefOrGetter<string>) =>
  useQuery({
    queryKey: ['usage', id],
    queryFn: () => ask(api.GET('/api/v1/stores/{store_id}/usage', { params: at(toValue(id)) })),
  })

export const useSaveStore = () =>
  useMutation({
    mutationFn: ({ body, key, before }: { body: Schemas['NewStore']; key: string; before?: Store }) =>
      before
        ? ask(
            api.PUT('/api/v1/stores/{store_id}', {
              body,
              params: { ...at(before.id), header: { 'If-Match': seen(before.version) } },
            }),
          )
        : ask(api.POST('/api/v1/stores', { body, params: { header: { 'Idempotency-Key': key } } })),
  })

export const useTestStore = () =>
  useMutation({ mutationFn: (id: string) => ask(api.POST('/api/v1/stores/{store_id}/test', { params: at(id) })) })

export const useDeleteStore = () =>
  useMutation({
    mutationFn: ({ id, version }: Store) =>
      ask(api.DELETE('/api/v1/stores/{store_id}', { params: { ...at(id), header: { 'If-Match': seen(version) } } })),
  })

/** Search a store for backups of another installation, believed if the platform `trust` signed them. */
export const useImportStore = () =>
  useMutation({
    mutationFn: ({ id, key, trust }: { id: string; key: string; trust: string }) =>
      ask(api.POST('/api/v1/stores/{store_id}/imports', { body: { trust }, params: { ...at(id), header: { 'Idempotency-Key': key } } })),
  })

export const useImport = (store: string, id: MaybeRefOrGetter<string>) =>
  useQuery({
    queryKey: ['imports', store, id],
    queryFn: () =>
      ask(api.GET('/api/v1/stores/{store_id}/imports/{import_id}', { params: { path: { store_id: store, import_id: toValue(id) } } })),
    enabled: () => !!toValue(id),
  })
