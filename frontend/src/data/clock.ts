import { ref } from 'vue'

/** The time, for "3 minutes ago": one timer for all of the page. */
export const now = ref(new Date())
setInterval(() => (now.value = new Date()), 10_000)
