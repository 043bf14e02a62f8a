import { useQuery } from '@tanstack/vue-query'
import { api, ask } from '@/api/client'

export const useMasterKey = () =>
  useQuery({ queryKey: ['keys'], queryFn: () => ask(api.GET('/api/v1/keys/master')) })
