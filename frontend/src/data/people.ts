import { useMutation, useQuery } from '@tanstack/vue-query'
import { api, ask, seen, type Schemas } from '@/api/client'
import { usePages } from './pages'

export type User = Schemas['User']
export type ApiKey = Schemas['ApiKeyShown']

export const useUsers = () =>
  usePages<User>(['users', 'list'], (cursor) => ask(api.GET('/api/v1/users', { params: { query: { limit: 50, cursor } } })))

const at = ({ id, version }: User) => ({ params: { path: { user_id: id }, header: { 'If-Match': seen(version) } } })

export const useAddUser = () =>
  useMutation({
    mutationFn: ({ body, key }: { body: Schemas['NewUser']; key: string }) =>
      ask(api.POST('/api/v1/users', { body, params: { header: { 'Idempotency-Key': key } } })),
  })

export const useChangeUser = () =>
  useMutation({
    mutationFn: ({ user, body }: { user: User; body: Schemas['UserChange'] }) =>
      ask(api.PUT('/api/v1/users/{user_id}', { body, ...at(user) })),
  })

export const useDeleteUser = () =>
  useMutation({ mutationFn: (user: User) => ask(api.DELETE('/api/v1/users/{user_id}', at(user))) })

export const useResetPassword = () =>
  useMutation({
    mutationFn: ({ id, password }: { id: string; password: string }) =>
      ask(api.POST('/api/v1/users/{user_id}/password', { body: { password }, params: { path: { user_id: id } } })),
  })

export const useSessions = () =>
  useQuery({ queryKey: ['sessions'], queryFn: () => ask(api.GET('/api/v1/sessions', { params: { query: { sort: '-opened_at', limit: 500 } } })) })

export const useEndSession = () =>
  useMutation({
    mutationFn: (id: string) =>
      ask(api.DELETE('/api/v1/sessions/{session_id}', { params: { path: { session_id: id } } })),
  })

export const useChangePassword = () =>
  useMutation({
    mutationFn: (body: Schemas['PasswordChange']) => ask(api.POST('/api/v1/auth/password', { body })),
  })

export const useApiKeys = () =>
  usePages<ApiKey>(['api_keys', 'list'], (cursor) =>
    ask(api.GET('/api/v1/api-keys', { params: { query: { limit: 50, cursor } } })),
  )

export const useMakeKey = () =>
  useMutation({ mutationFn: (body: Schemas['NewApiKey']) => ask(api.POST('/api/v1/api-keys', { body })) })

export const useRevokeKey = () =>
  useMutation({
    mutationFn: ({ id, version }: ApiKey) =>
      ask(api.DELETE('/api/v1/api-keys/{key_id}', { params: { path: { key_id: id }, header: { 'If-Match': seen(version) } } })),
  })
