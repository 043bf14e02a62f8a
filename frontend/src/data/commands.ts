import { useMutation, useQuery } from '@tanstack/vue-query'
import { toValue, type MaybeRefOrGetter } from 'vue'
import { api, ask, seen, type Schemas } from '@/api/client'
import { usePages } from './pages'

export type Command = Schemas['Command']
export type Execution = Schemas['Execution']

export const useCommands = (wanted: MaybeRefOrGetter<{ name?: string }> = {}) =>
  usePages<Command>(
    () => ['commands', 'list', toValue(wanted)],
    (cursor) => {
      const query = { name: toValue(wanted).name || undefined, limit: 50, cursor }
      return ask(api.GET('/api/v1/commands', { params: { query } }))
    },
  )

export const useExecutions = (id: string) =>
  usePages<Execution>(['executions', id], (cursor) =>
    ask(api.GET('/api/v1/commands/{command_id}/executions', { params: { path: { command_id: id }, query: { limit: 20, cursor } } })),
  )

const thing = ({ id, version }: Command) => ({ params: { path: { thing_id: id }, header: { 'If-Match': seen(version) } } })

/** The servers on which one may execute it. */
export const useServersFor = (id: string) =>
  useQuery({
    queryKey: ['servers', 'executing', id],
    queryFn: () => ask(api.GET('/api/v1/servers', { params: { query: { executes: id, limit: 500 } } })),
  })

export const useSaveCommand = () =>
  useMutation({
    mutationFn: ({ body, key, before }: { body: Schemas['NewCommand']; key: string; before?: Command }) =>
      before
        ? ask(api.PUT('/api/v1/commands/{thing_id}', { body, ...thing(before) }))
        : ask(api.POST('/api/v1/commands', { body, params: { header: { 'Idempotency-Key': key } } })),
  })

export const useDeleteCommand = () =>
  useMutation({ mutationFn: (command: Command) => ask(api.DELETE('/api/v1/commands/{thing_id}', thing(command))) })

export const useExecute = () =>
  useMutation({
    mutationFn: ({ id, key, body }: { id: string; key: string; body: Schemas['NewExecution'] }) =>
      ask(api.POST('/api/v1/commands/{command_id}/execute', { body, params: { path: { command_id: id }, header: { 'Idempotency-Key': key } } })),
  })
