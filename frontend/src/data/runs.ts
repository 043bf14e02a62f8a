import { useMutation, useQuery, type UseQueryReturnType } from '@tanstack/vue-query'
import { toValue, type MaybeRefOrGetter } from 'vue'
import { api, ask, wishKey, type Schemas } from '@/api/client'
import type { Progress } from '@/live/effects'
import { words } from '@/text'
import { usePages } from './pages'

export type Run = Schemas['RunShown']
export type RunStatus = Run['status']
export const OPEN: readonly RunStatus[] = ['requested', 'dispatched', 'running']
export const isOpen = (run: Run) => OPEN.includes(run.status)

interface Wanted {
  /** A status, or `open` for all that have not ended. */
  status?: string
  kind?: string
  server_id?: string
  database_id?: string
  ended?: boolean
  limit?: number
}

/** What a run does, and to what: `Restore of shop into shop_again`. */
export function whatOf({ kind, object_name: name, target_name: target, test }: Run): string {
  if (kind === 'restore' && test) return name ? `Restore test of ${name}` : 'Restore test'
  if (kind === 'restore') return `Restore${name ? ` of ${name}` : ''}${target ? ` into ${target}` : ''}`
  if (kind === 'command') return name ? `Command ${name}` : 'Command'
  return name ? `${words(kind)} of ${name}` : words(kind)
}

export const useRuns = (wanted: MaybeRefOrGetter<Wanted> = {}) =>
  usePages<Run>(
    () => ['runs', 'list', toValue(wanted)],
    (cursor) => {
      const { status, kind, server_id, database_id, ended, limit = 50 } = toValue(wanted)
      const query = {
        status: (status && status !== 'open' ? status : undefined) as RunStatus | undefined,
        kind: (kind || undefined) as never,
        server_id: server_id || undefined,
        database_id: database_id || undefined,
        ended: status === 'open' ? false : ended,
        limit,
        cursor,
      }
      return ask(api.GET('/api/v1/runs', { params: { query } }))
    },
  )

export const useRun = (id: MaybeRefOrGetter<string>) =>
  useQuery({
    queryKey: ['runs', 'one', id],
    queryFn: () => ask(api.GET('/api/v1/runs/{run_id}', { params: { path: { run_id: toValue(id) } } })),
  })

/** What a run last said of its progress: live events put it here, nobody asks for it. */
export const useProgress = (id: MaybeRefOrGetter<string>): UseQueryReturnType<Progress | null, Error> =>
  useQuery<Progress | null, Error, Progress | null, readonly unknown[]>({
    queryKey: ['progress', id],
    queryFn: () => null,
    enabled: false,
    staleTime: Infinity,
  })

export const useCancel = () =>
  useMutation({
    mutationFn: (id: string) =>
      ask(
        api.POST('/api/v1/runs/{run_id}/cancel', {
          params: { path: { run_id: id }, header: { 'Idempotency-Key': wishKey() } },
        }),
      ),
  })

export const useBackUp = () =>
  useMutation({
    mutationFn: ({ key, ...body }: Schemas['NewBackup'] & { key: string }) =>
      ask(api.POST('/api/v1/backups', { body, params: { header: { 'Idempotency-Key': key } } })),
  })
