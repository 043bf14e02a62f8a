import { ref, watch } from 'vue'

export type Zone = 'local' | 'utc'

const KEY = 'holdfast.zone'

/** Where somebody's clock is: times are shown as it shows them, or in UTC. */
export const zone = ref<Zone>(localStorage.getItem(KEY) === 'utc' ? 'utc' : 'local')
export const here = Intl.DateTimeFormat().resolvedOptions().timeZone

watch(zone, (chosen) => (chosen === 'utc' ? localStorage.setItem(KEY, chosen) : localStorage.removeItem(KEY)))
