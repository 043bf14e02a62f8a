import { useMutation } from '@tanstack/vue-query'
import { toValue, type MaybeRefOrGetter } from 'vue'
import { api, ask, seen, type Schemas } from '@/api/client'
import { usePages } from './pages'

export type Group = Schemas['Group']

const thing = ({ id, version }: Group) => ({
  params: { path: { group_id: id }, header: { 'If-Match': seen(version) } },
})

export const useGroups = (wanted: MaybeRefOrGetter<{ name?: string }> = {}) =>
  usePages<Group>(
    () => ['groups', 'list', toValue(wanted)],
    (cursor) => ask(api.GET('/api/v1/server-groups', { params: { query: { name: toValue(wanted).name || undefined, limit: 50, cursor } } })),
  )

export const useSaveGroup = () =>
  useMutation({
    mutationFn: ({ body, key, before }: { body: Schemas['NewGroup']; key: string; before?: Group }) =>
      before
        ? ask(api.PUT('/api/v1/server-groups/{group_id}', { body, ...thing(before) }))
        : ask(api.POST('/api/v1/server-groups', { body, params: { header: { 'Idempotency-Key': key } } })),
  })

export const useDeleteGroup = () =>
  useMutation({ mutationFn: (one: Group) => ask(api.DELETE('/api/v1/server-groups/{group_id}', thing(one))) })
