import { useMutation } from '@tanstack/vue-query'
import { toValue, type MaybeRefOrGetter } from 'vue'
import { api, ask, seen, wishKey, type Schemas } from '@/api/client'
import { usePages } from './pages'

export type Channel = Schemas['Channel']
export type Rule = Schemas['Rule']
export type Template = Schemas['Template']
export type Delivery = Schemas['Delivery']

const query = (cursor: string | undefined) => ({ params: { query: { limit: 50, cursor } } })
const once = (key: string) => ({ params: { header: { 'Idempotency-Key': key } } })
const thing = ({ id, version }: { id: string; version: number }) => ({
  params: { path: { thing_id: id }, header: { 'If-Match': seen(version) } },
})

export const useChannels = () =>
  usePages<Channel>(['channels', 'list'], (cursor) => ask(api.GET('/api/v1/notifications/channels', query(cursor))))

export const useRules = () =>
  usePages<Rule>(['rules', 'list'], (cursor) => ask(api.GET('/api/v1/notifications/rules', query(cursor))))

export const useDeliveries = (wanted: MaybeRefOrGetter<{ channel_id?: string; status?: string }>) =>
  usePages<Delivery>(
    () => ['deliveries', 'list', toValue(wanted)],
    (cursor) => {
      const { channel_id, status } = toValue(wanted)
      const asked = { channel_id: channel_id || undefined, status: (status || undefined) as never, limit: 50, cursor }
      return ask(api.GET('/api/v1/notifications/deliveries', { params: { query: asked } }))
    },
  )

export const useSaveChannel = () =>
  useMutation({
    mutationFn: ({ body, key, before }: { body: Schemas['NewChannel']; key: string; before?: Channel }) =>
      before
        ? ask(api.PUT('/api/v1/notifications/channels/{thing_id}', { body, ...thing(before) }))
        : ask(api.POST('/api/v1/notifications/channels', { body, ...once(key) })),
  })

export const useDeleteChannel = () =>
  useMutation({
    mutationFn: (one: Channel) => ask(api.DELETE('/api/v1/notifications/channels/{thing_id}', thing(one))),
  })

export const useTestChannel = () =>
  useMutation({
    mutationFn: (id: string) =>
      ask(api.POST('/api/v1/notifications/channels/{channel_id}/test', { params: { path: { channel_id: id } } })),
  })

export const useSaveRule = () =>
  useMutation({
    mutationFn: ({ body, key, before }: { body: Schemas['NewRule']; key: string; before?: Rule }) =>
      before
        ? ask(api.PUT('/api/v1/notifications/rules/{thing_id}', { body, ...thing(before) }))
        : ask(api.POST('/api/v1/notifications/rules', { body, ...once(key) })),
  })

export const useDeleteRule = () =>
  useMutation({
    mutationFn: (one: Rule) => ask(api.DELETE('/api/v1/notifications/rules/{thing_id}', thing(one))),
  })

export const useTemplates = () =>
  usePages<Template>(['templates', 'list'], (cursor) => ask(api.GET('/api/v1/notifications/templates', query(cursor))))

export const useSaveTemplate = () =>
  useMutation({
    mutationFn: ({ body, key, before }: { body: Schemas['NewTemplate']; key: string; before?: Template }) =>
      before
        ? ask(api.PUT('/api/v1/notifications/templates/{thing_id}', { body, ...thing(before) }))
        : ask(api.POST('/api/v1/notifications/templates', { body, ...once(key) })),
  })

export const useDeleteTemplate = () =>
  useMutation({
    mutationFn: (one: Template) => ask(api.DELETE('/api/v1/notifications/templates/{thing_id}', thing(one))),
  })

/** What a template makes of an example. */
export const previewOf = (body: Schemas['TemplatePreview']) => ask(api.POST('/api/v1/notifications/templates/preview', { body }))

export const useRedeliver = () =>
  useMutation({
    mutationFn: (id: string) =>
      ask(
        api.POST('/api/v1/notifications/deliveries/{delivery_id}/redeliver', {
          params: { path: { delivery_id: id }, header: { 'Idempotency-Key': wishKey() } },
        }),
      ),
  })
