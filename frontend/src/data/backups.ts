import { useMutation, useQuery } from '@tanstack/vue-query'
import { toValue, type MaybeRefOrGetter } from 'vue'
import { api, ask, wishKey, type Schemas } from '@/api/client'
import { usePages } from './pages'

export type Backup = Schemas['Backup']
export type Restore = Schemas['Restore']

/** What is known of a backup's archive, and where that is worse, of its chain: null where nothing is. */
export function proofOf({ status, proof, restorability }: Pick<Backup, 'status' | 'proof' | 'restorability'>) {
  if (status !== 'completed') return null
  if (restorability?.state === 'broken' && proof !== 'corrupt') return { status: 'corrupt', text: 'Broken chain' } as const
  return proof && proof !== 'unverified' ? ({ status: proof, text: undefined } as const) : null
}

interface Wanted {
  status?: string
  database_id?: string
  server_id?: string
  limit?: number
}

export const useBackups = (wanted: MaybeRefOrGetter<Wanted> = {}) =>
  usePages<Backup>(
    () => ['backups', 'list', toValue(wanted)],
    (cursor) => {
      const { status, database_id, server_id, limit = 50 } = toValue(wanted)
      const query = {
        status: (status || undefined) as Backup['status'] | undefined,
        database_id: database_id || undefined,
        server_id: server_id || undefined,
        limit,
        cursor,
      }
      return ask(api.GET('/api/v1/backups', { params: { query } }))
    },
  )

const at = (id: string) => ({ path: { backup_id: id } })
const wish = () => ({ header: { 'Idempotency-Key': wishKey() } })

export const useBackup = (id: MaybeRefOrGetter<string>, enabled: MaybeRefOrGetter<boolean> = true) =>
  useQuery({
    queryKey: ['backups', 'one', id],
    queryFn: () => ask(api.GET('/api/v1/backups/{backup_id}', { params: at(toValue(id)) })),
    enabled,
  })

export const useArchives = (id: MaybeRefOrGetter<string>) =>
  useQuery({
    queryKey: ['backups', 'archives', id],
    queryFn: () => ask(api.GET('/api/v1/backups/{backup_id}/archives', { params: at(toValue(id)) })),
  })

export const useRestores = (wanted: MaybeRefOrGetter<{ backup_id?: string }> = {}) =>
  usePages<Restore>(
    () => ['restores', 'list', toValue(wanted)],
    (cursor) => {
      const query = { backup_id: toValue(wanted).backup_id || undefined, limit: 50, cursor }
      return ask(api.GET('/api/v1/restores', { params: { query } }))
    },
  )

export const useRestore = (id: MaybeRefOrGetter<string>, enabled: MaybeRefOrGetter<boolean> = true) =>
  useQuery({
    queryKey: ['restores', 'one', id],
    queryFn: () => ask(api.GET('/api/v1/restores/{restore_id}', { params: { path: { restore_id: toValue(id) } } })),
    enabled,
  })

export const useStartRestore = () =>
  useMutation({
    mutationFn: ({ id, key, body }: { id: string; key: string; body: Schemas['NewRestore'] }) =>
      ask(
        api.POST('/api/v1/backups/{backup_id}/restore', {
          body,
          params: { ...at(id), header: { 'Idempotency-Key': key } },
        }),
      ),
  })

export const useVerify = () =>
  useMutation({
    mutationFn: (id: string) =>
      ask(api.POST('/api/v1/backups/{backup_id}/verify', { params: { ...at(id), ...wish() } })),
  })

/** Read it with its keys as a restore would, and write it nowhere. */
export const useDeepVerify = () =>
  useMutation({
    mutationFn: (id: string) =>
      ask(api.POST('/api/v1/backups/{backup_id}/deep-verify', { params: { ...at(id), ...wish() } })),
  })

export const useTestRestore = () =>
  useMutation({
    mutationFn: (id: string) =>
      ask(api.POST('/api/v1/backups/{backup_id}/test-restore', { params: { ...at(id), ...wish() } })),
  })

export const useDeleteBackup = () =>
  useMutation({ mutationFn: (id: string) => ask(api.DELETE('/api/v1/backups/{backup_id}', { params: at(id) })) })

export const useUndelete = () =>
  useMutation({
    mutationFn: (id: string) =>
      ask(api.POST('/api/v1/backups/{backup_id}/undelete', { params: { ...at(id), ...wish() } })),
  })

export const useHold = () =>
  useMutation({
    mutationFn: ({ id, reason }: { id: string; reason: string }) =>
      ask(api.POST('/api/v1/backups/{backup_id}/hold', { body: { reason }, params: at(id) })),
  })

export const useRelease = () =>
  useMutation({
    mutationFn: ({ id, reason }: { id: string; reason: string }) =>
      ask(api.POST('/api/v1/backups/{backup_id}/release', { body: { reason }, params: at(id) })),
  })

export const useDownload = () =>
  useMutation({
    mutationFn: ({ id, decrypt }: { id: string; decrypt: boolean }) =>
      ask(api.POST('/api/v1/backups/{backup_id}/download', { body: { decrypt }, params: { ...at(id), ...wish() } })),
  })
