import { api, ask, seen, type Schemas } from '@/api/client'
import { done } from '@/components/toasts'
import { useAccount } from './account'
import { usePages } from './pages'

/** What has versions that can come back. */
export type Noun = 'server' | 'group' | 'store' | 'policy' | 'schedule' | 'blackout' | 'command' | 'channel' | 'rule' | 'template'
export type SettingVersion = Schemas['SettingVersion']

interface Versioned {
  id: string
  version: number
}

export const useVersions = (noun: Noun, id: string) =>
  usePages<SettingVersion>(['versions', noun, id], (cursor) =>
    ask(api.GET('/api/v1/settings/{noun}/{key}/versions', { params: { path: { noun, key: id }, query: { limit: 20, cursor } } })),
  )

/** Write a version of a setting anew, over the one that stands. */
export const revert = (noun: Noun, { id, version: present }: Versioned, version: number) =>
  ask(
    api.POST('/api/v1/settings/{noun}/{key}/revert', {
      body: { version },
      params: { path: { noun, key: id }, header: { 'If-Match': seen(present) } },
    }),
  )

/** Says that a setting was saved; a change of one can be taken back from there. */
export function useSaved(noun: Noun) {
  const { may } = useAccount()
  return (after: { id: string; version?: number }, before?: Versioned, text = 'Saved', detail = '') => {
    const { id, version } = after
    const undoable = before && version !== undefined && version !== before.version && may('settings.revert')
    done(text, detail, undoable ? () => revert(noun, { id, version }, before.version) : undefined)
  }
}
