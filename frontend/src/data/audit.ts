import { useQuery } from '@tanstack/vue-query'
import { computed, toValue, type MaybeRefOrGetter } from 'vue'
import { api, ask, type Schemas } from '@/api/client'
import { usePages } from './pages'

export type AuditEntry = Schemas['AuditEntry']

export interface Sought {
  actor?: string
  action?: string
  object?: string
  outcome?: string
  since?: string
  until?: string
  /** Also what the platform notes for itself. */
  internal?: boolean
}

const given = (sought: Sought) => ({
  actor: sought.actor || undefined,
  action: sought.action || undefined,
  object: sought.object || undefined,
  outcome: (sought.outcome || undefined) as never,
  since: sought.since || undefined,
  until: sought.until || undefined,
  internal: sought.internal ?? false,
})

export const useAudit = (sought: MaybeRefOrGetter<Sought>) =>
  usePages<AuditEntry>(
    () => ['audit', 'list', toValue(sought)],
    (cursor) => ask(api.GET('/api/v1/audit/logs', { params: { query: { ...given(toValue(sought)), limit: 50, cursor } } })),
  )

export const useFacets = (sought: MaybeRefOrGetter<Sought>) =>
  useQuery({
    queryKey: ['audit', 'facets', computed(() => toValue(sought))],
    queryFn: () => ask(api.GET('/api/v1/audit/facets', { params: { query: given(toValue(sought)) } })),
    placeholderData: (kept) => kept,
  })

export const useAuditDetail = (n: MaybeRefOrGetter<number>) =>
  useQuery({
    queryKey: ['audit', 'one', n],
    queryFn: () => ask(api.GET('/api/v1/audit/logs/{n}', { params: { path: { n: toValue(n) } } })),
  })

export const useCheckpoint = () =>
  useQuery({
    queryKey: ['audit', 'checkpoint'],
    queryFn: () => ask(api.GET('/api/v1/audit/checkpoint')),
  })
