import { useMutation } from '@tanstack/vue-query'
import { toValue, type MaybeRefOrGetter } from 'vue'
import { api, ask, seen, type Schemas } from '@/api/client'
import { usePages } from './pages'

/** Windows in which schedules start nothing. */
export type Blackout = Schemas['BlackoutWindow']

export const useBlackouts = (wanted: MaybeRefOrGetter<{ name?: string }> = {}) =>
  usePages<Blackout>(
    () => ['blackouts', 'list', toValue(wanted)],
    (cursor) => {
      const query = { name: toValue(wanted).name || undefined, limit: 50, cursor }
      return ask(api.GET('/api/v1/blackouts', { params: { query } }))
    },
  )

const thing = ({ id, version }: Blackout) => ({ params: { path: { thing_id: id }, header: { 'If-Match': seen(version) } } })

export const useSaveBlackout = () =>
  useMutation({
    mutationFn: ({ body, key, before }: { body: Schemas['NewBlackout']; key: string; before?: Blackout }) =>
      before
        ? ask(api.PUT('/api/v1/blackouts/{thing_id}', { body, ...thing(before) }))
        : ask(api.POST('/api/v1/blackouts', { body, params: { header: { 'Idempotency-Key': key } } })),
  })

export const useDeleteBlackout = () =>
  useMutation({ mutationFn: (one: Blackout) => ask(api.DELETE('/api/v1/blackouts/{thing_id}', thing(one))) })
