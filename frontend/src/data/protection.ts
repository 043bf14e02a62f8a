import { useQuery } from '@tanstack/vue-query'
import { computed, toValue, type MaybeRefOrGetter } from 'vue'
import { api, ask, type Schemas } from '@/api/client'
import { useAccount } from './account'
import { usePages } from './pages'

export type Protection = Schemas['Protection']
export type Safety = Schemas['Safety']

interface Wanted {
  name?: string
  safety?: string
  server_id?: string
  database_id?: string
  limit?: number
}

const given = (wanted: Wanted) => ({
  name: wanted.name || undefined,
  safety: (wanted.safety || undefined) as Safety | undefined,
  server_id: wanted.server_id || undefined,
  database_id: wanted.database_id || undefined,
  limit: wanted.limit ?? 50,
})

/** Databases and whether they are safe, the worst first. */
export const useProtection = (wanted: MaybeRefOrGetter<Wanted> = {}) =>
  usePages<Protection, Schemas['ProtectionPage']>(
    () => ['protection', toValue(wanted)],
    (cursor) =>
      ask(api.GET('/api/v1/databases/protection', { params: { query: { ...given(toValue(wanted)), cursor } } })),
  )

/** The backups of each of the last days. */
export const useDays = (days: number, database?: string) =>
  useQuery({
    queryKey: ['days', days, database ?? ''],
    queryFn: () => ask(api.GET('/api/v1/backups/days', { params: { query: { days, database_id: database } } })),
  })

/** How the installation as a whole does, for who may see that. */
export function useOverview() {
  const { may } = useAccount()
  return useQuery({ queryKey: ['overview'], queryFn: () => ask(api.GET('/api/v1/system')), enabled: () => may('system.read') })
}

/** Why a database is not safe, in words. */
export function reasonOf(one: Protection): string {
  if (!one.good_at) return 'It has no good backup'
  if (one.standing === 'missed') return 'Its last good backup is older than its objective allows'
  if (one.last?.failed) return one.last.problem?.cause ?? 'Its last backup failed'
  if (one.standing === 'at_risk') return 'Its last good backup is close to the limit of its objective'
  return 'Its last backup is good'
}

export const useSafetySentence = (counts: MaybeRefOrGetter<Record<string, number> | undefined>) =>
  computed(() => {
    const { protected: safe = 0, endangered = 0, unprotected = 0 } = toValue(counts) ?? {}
    const all = safe + endangered + unprotected
    const tone = unprotected ? 'bad' : endangered ? 'warn' : all ? 'ok' : 'none'
    return { safe, endangered, unprotected, all, tone } as const
  })
