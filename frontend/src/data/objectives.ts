import { useMutation } from '@tanstack/vue-query'
import { toValue, type MaybeRefOrGetter } from 'vue'
import { api, ask, seen, type Schemas } from '@/api/client'
import { usePages } from './pages'

/** How old the last good backup of some databases may get. */
export type Objective = Schemas['ObjectiveView']
export type ObjectiveStatus = Schemas['ObjectiveStatus']

export const useObjectives = (wanted: MaybeRefOrGetter<{ name?: string }> = {}) =>
  usePages<Objective>(
    () => ['objectives', 'list', toValue(wanted)],
    (cursor) => {
      const query = { name: toValue(wanted).name || undefined, limit: 50, cursor }
      return ask(api.GET('/api/v1/objectives', { params: { query } }))
    },
  )

/** Databases under objectives, the worst first. */
export const useStandings = (limit = 50) =>
  usePages<ObjectiveStatus>(['objectives', 'status', limit], (cursor) =>
    ask(api.GET('/api/v1/objectives/status', { params: { query: { limit, cursor } } })),
  )

const thing = ({ id, version }: Objective) => ({ params: { path: { thing_id: id }, header: { 'If-Match': seen(version) } } })

export const useSaveObjective = () =>
  useMutation({
    mutationFn: ({ body, key, before }: { body: Schemas['NewObjective']; key: string; before?: Objective }) =>
      before
        ? ask(api.PUT('/api/v1/objectives/{thing_id}', { body, ...thing(before) }))
        : ask(api.POST('/api/v1/objectives', { body, params: { header: { 'Idempotency-Key': key } } })),
  })

export const useDeleteObjective = () =>
  useMutation({ mutationFn: (one: Objective) => ask(api.DELETE('/api/v1/objectives/{thing_id}', thing(one))) })
