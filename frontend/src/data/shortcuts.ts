import { ref, watch } from 'vue'

const KEY = 'holdfast.single_keys'

/** Whether a single key does something: who dictates or slips on keys switches that off (WCAG 2.1.4). */
export const singleKeys = ref(localStorage.getItem(KEY) !== 'off')

watch(singleKeys, (on) => (on ? localStorage.removeItem(KEY) : localStorage.setItem(KEY, 'off')), { flush: 'sync' })
