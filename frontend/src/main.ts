import { QueryClient, VueQueryPlugin } from '@tanstack/vue-query'
import { createApp } from 'vue'
import App from './App.vue'
import { Problem } from './api/problem'
import { routerOf } from './router'
import './styles/main.css'

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 30_000,
      refetchOnWindowFocus: false,
      // What the server refuses it refuses again; what did not reach it may yet.
      retry: (count, error) => count < 3 && (!(error instanceof Problem) || error.status === 0 || error.status >= 502),
    },
  },
})

createApp(App).use(VueQueryPlugin, { queryClient: queries }).use(routerOf(queries)).mount('#app')
