import { ref, watch } from 'vue'

export type Theme = 'system' | 'light' | 'dark'

const KEY = 'holdfast.theme'
const kept = localStorage.getItem(KEY)

/** The chosen theme; public/theme.js applies it before the first paint. */
export const theme = ref<Theme>(kept === 'light' || kept === 'dark' ? kept : 'system')

watch(theme, (chosen) => {
  if (chosen === 'system') {
    localStorage.removeItem(KEY)
    delete document.documentElement.dataset.theme
  } else {
    localStorage.setItem(KEY, chosen)
    document.documentElement.dataset.theme = chosen
  }
})
