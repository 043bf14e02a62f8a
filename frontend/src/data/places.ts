import type { Schemas } from '@/api/client'

/** Where one may add servers; nothing: anywhere. */
export type Reach = Schemas['Reach'] | null | undefined

/** Whether one may put a server there: one environment or group of the reach is enough. */
export const mayPut = (reach: Reach, environment: string, groups: readonly string[]) =>
  !reach || reach.environments.includes(environment) || groups.some((group) => reach.group_ids.includes(group))

/** Where a new server stands to begin with: where one may put it, if that can be told. */
export function firstPlace(reach: Reach, usual = 'production') {
  const [only, ...others] = reach?.group_ids ?? []
  const environment = mayPut(reach, usual, []) ? usual : (reach?.environments[0] ?? usual)
  return { environment, groups: only && !others.length && !mayPut(reach, environment, []) ? [only] : [] }
}

/** What to say where one may not put it. */
export function whereInstead(reach: Reach, groupOf: (id: string) => string) {
  const places = [...(reach?.environments ?? []), ...(reach?.group_ids ?? []).map((id) => `the group ${groupOf(id)}`)]
  return places.length ? `Your account may have servers only in ${places.join(' or ')}.` : 'Your account may add servers nowhere.'
}
