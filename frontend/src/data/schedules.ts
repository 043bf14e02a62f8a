import { useMutation, useQuery } from '@tanstack/vue-query'
import { toValue, type MaybeRefOrGetter } from 'vue'
import { api, ask, seen, wishKey, type Schemas } from '@/api/client'
import { usePages } from './pages'

export type Schedule = Schemas['Schedule']
export type Policy = Schemas['Policy']

export const useSchedules = (wanted: MaybeRefOrGetter<{ name?: string; paused?: string }> = {}) =>
  usePages<Schedule>(
    () => ['schedules', 'list', toValue(wanted)],
    (cursor) => {
      const { name, paused } = toValue(wanted)
      const query = { name: name || undefined, paused: paused ? paused === 'yes' : undefined, limit: 50, cursor }
      return ask(api.GET('/api/v1/schedules', { params: { query } }))
    },
  )

export const useSchedule = (id: MaybeRefOrGetter<string>) =>
  useQuery({
    queryKey: ['schedules', 'one', id],
    queryFn: () => ask(api.GET('/api/v1/schedules/{schedule_id}', { params: { path: { schedule_id: toValue(id) } } })),
    enabled: () => !!toValue(id),
  })

export const useSchedulePreview = (id: MaybeRefOrGetter<string>) =>
  useQuery({
    queryKey: ['schedules', 'preview', id],
    queryFn: () =>
      ask(api.GET('/api/v1/schedules/{schedule_id}/preview', { params: { path: { schedule_id: toValue(id) } } })),
  })

/** What a schedule that is not saved yet would do. */
export const previewOf = (body: Schemas['NewSchedule']) => ask(api.POST('/api/v1/schedules/preview', { body }))

export const useSaveSchedule = () =>
  useMutation({
    mutationFn: ({ body, key, before }: { body: Schemas['NewSchedule']; key: string; before?: Schedule }) =>
      before
        ? ask(
            api.PUT('/api/v1/schedules/{schedule_id}', {
              body,
              params: { path: { schedule_id: before.id }, header: { 'If-Match': seen(before.version) } },
            }),
          )
        : ask(api.POST('/api/v1/schedules', { body, params: { header: { 'Idempotency-Key': key } } })),
  })

const at = (id: string) => ({ params: { path: { schedule_id: id } } })

export const usePause = () =>
  useMutation({
    mutationFn: ({ id, paused }: Schedule) =>
      ask(
        paused
          ? api.POST('/api/v1/schedules/{schedule_id}/resume', at(id))
          : api.POST('/api/v1/schedules/{schedule_id}/pause', at(id)),
      ),
  })

export const useRunSchedule = () =>
  useMutation({
    mutationFn: (id: string) =>
      ask(
        api.POST('/api/v1/schedules/{schedule_id}/run', {
          params: { path: { schedule_id: id }, header: { 'Idempotency-Key': wishKey() } },
        }),
      ),
  })

export const useDeleteSchedule = () =>
  useMutation({
    mutationFn: ({ id, version }: Schedule) =>
      ask(
        api.DELETE('/api/v1/schedules/{schedule_id}', {
          params: { path: { schedule_id: id }, header: { 'If-Match': seen(version) } },
        }),
      ),
  })

export const usePolicies = (wanted: MaybeRefOrGetter<{ name?: string }> = {}) =>
  usePages<Policy>(
    () => ['policies', 'list', toValue(wanted)],
    (cursor) => {
      const query = { name: toValue(wanted).name || undefined, limit: 50, cursor }
      return ask(api.GET('/api/v1/policies', { params: { query } }))
    },
  )

export const useSavePolicy = () =>
  useMutation({
    mutationFn: ({ body, key, before }: { body: Schemas['NewPolicy']; key: string; before?: Policy }) =>
      before
        ? ask(
            api.PUT('/api/v1/policies/{policy_id}', {
              body,
              params: { path: { policy_id: before.id }, header: { 'If-Match': seen(before.version) } },
            }),
          )
        : ask(api.POST('/api/v1/policies', { body, params: { header: { 'Idempotency-Key': key } } })),
  })

export const useDeletePolicy = () =>
  useMutation({
    mutationFn: ({ id, version }: Policy) =>
      ask(
        api.DELETE('/api/v1/policies/{policy_id}', {
          params: { path: { policy_id: id }, header: { 'If-Match': seen(version) } },
        }),
      ),
  })
