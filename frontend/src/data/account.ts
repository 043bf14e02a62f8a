import { useMutation, useQuery, useQueryClient } from '@tanstack/vue-query'
import { computed } from 'vue'
import { api, ask, type Schemas } from '@/api/client'

export type Right = Schemas['Right']

export const accountQuery = {
  queryKey: ['me'],
  queryFn: () => ask(api.GET('/api/v1/auth/me')),
  staleTime: 60_000,
  retry: false,
} as const

export const setupQuery = {
  queryKey: ['setup'],
  queryFn: () => ask(api.GET('/api/v1/setup')),
  staleTime: 60_000,
  retry: false,
} as const

/** Who is signed in, and what they may do: what they may not do is not offered. The server decides. */
export function useAccount() {
  const { data: account } = useQuery(accountQuery)
  const rights = computed(() => new Set<Right>(account.value?.rights ?? []))
  const whole = computed(() => new Set<Right>(account.value?.rights_everywhere ?? []))
  return {
    account,
    /** Somewhere at least. */
    may: (right: Right) => rights.value.has(right),
    mayEverywhere: (right: Right) => whole.value.has(right),
  }
}

export function useSignIn() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: (given: { email: string; password: string }) =>
      ask(api.POST('/api/v1/auth/login', { body: { ...given, cookies: true } })),
    onSuccess: () => queries.clear(),
  })
}

export function useSetup() {
  const queries = useQueryClient()
  return useMutation({
    mutationFn: (given: Omit<Schemas['Setup'], 'cookies'>) =>
      ask(api.POST('/api/v1/setup', { body: { ...given, cookies: true } })),
    onSuccess: () => queries.clear(),
  })
}

export function useSignOut() {
  return useMutation({ mutationFn: () => ask(api.POST('/api/v1/auth/logout')) })
}
