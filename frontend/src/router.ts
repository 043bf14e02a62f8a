import type { QueryClient } from '@tanstack/vue-query'
import { createRouter, createWebHistory, type RouteLocationNormalized } from 'vue-router'
import { onSignedOut } from './api/session'
import { guardUnsaved } from './components/unsaved'
import { accountQuery, setupQuery, type Right } from './data/account'
import { placeOf } from './navigation'

declare module 'vue-router' {
  interface RouteMeta {
    title: string
    open?: boolean
    /** What somebody needs to use the page; the server decides all the same. */
    right?: Right
  }
}

const page = (path: string, title: string, component: () => Promise<unknown>, right?: Right) => ({
  path,
  component: component as never,
  meta: { title, right: right ?? placeOf(path)?.right },
})

const outside = (path: string, title: string, component: () => Promise<unknown>) => ({
  path,
  component: component as never,
  meta: { title, open: true },
})

export function routerOf(queries: QueryClient) {
  const router = createRouter({
    history: createWebHistory(),
    scrollBehavior: (_to, _from, kept) => kept ?? { top: 0 },
    routes: [
      outside('/setup', 'Set up', () => import('./pages/SetupPage.vue')),
      outside('/login', 'Sign in', () => import('./pages/LoginPage.vue')),
      page('/', 'Overview', () => import('./pages/OverviewPage.vue')),
      page('/databases', 'Databases', () => import('./pages/DatabasesPage.vue')),
      page('/databases/:id', 'Database', () => import('./pages/DatabasePage.vue')),
      page('/servers', 'Servers', () => import('./pages/ServersPage.vue')),
      page('/servers/new', 'Add a server', () => import('./pages/ServerFormPage.vue'), 'servers.write'),
      page('/servers/:id', 'Server', () => import('./pages/ServerPage.vue')),
      page('/servers/:id/change', 'Change a server', () => import('./pages/ServerFormPage.vue'), 'servers.write'),
      page('/backups', 'Backups', () => import('./pages/BackupsPage.vue')),
      page('/backups/:id', 'Backup', () => import('./pages/BackupPage.vue')),
      page('/backups/:id/restore', 'Restore', () => import('./pages/RestorePage.vue'), 'backups.restore'),
      page('/runs', 'Runs', () => import('./pages/RunsPage.vue')),
      page('/runs/:id', 'Run', () => import('./pages/RunPage.vue')),
      page('/stores', 'Stores', () => import('./pages/StoresPage.vue')),
      page('/stores/new', 'Add a store', () => import('./pages/StoreFormPage.vue'), 'stores.write'),
      page('/stores/:id', 'Store', () => import('./pages/StorePage.vue')),
      page('/stores/:id/change', 'Change a store', () => import('./pages/StoreFormPage.vue'), 'stores.write'),
      page('/schedules', 'Schedules', () => import('./pages/SchedulesPage.vue')),
      page('/schedules/new', 'New schedule', () => import('./pages/ScheduleFormPage.vue'), 'schedules.write'),
      page('/schedules/:id', 'Schedule', () => import('./pages/SchedulePage.vue')),
      page('/schedules/:id/change', 'Change a schedule', () => import('./pages/ScheduleFormPage.vue'), 'schedules.write'),
      page('/policies', 'Policies', () => import('./pages/PoliciesPage.vue')),
      page('/notifications', 'Notifications', () => import('./pages/NotificationsPage.vue')),
      page('/commands', 'Commands', () => import('./pages/CommandsPage.vue')),
      page('/audit', 'Audit', () => import('./pages/AuditPage.vue')),
      page('/system', 'System', () => import('./pages/SystemPage.vue')),
      page('/keys', 'Keys', () => import('./pages/KeysPage.vue')),
      page('/users', 'Users', () => import('./pages/UsersPage.vue')),
      page('/developers', 'Developers', () => import('./pages/DevelopersPage.vue')),
      page('/profile', 'Profile', () => import('./pages/ProfilePage.vue')),
      page('/:rest(.*)*', 'Not found', () => import('./pages/MissingPage.vue')),
    ],
  })

  guardUnsaved(router)
  router.beforeEach((to) => admitted(to, queries))
  router.afterEach((to) => {
    document.title = `${to.meta.title} · Holdfast`
  })
  onSignedOut(() => {
    // Or who was signed in is still believed to be, and led away from the page to sign in on.
    queries.setQueryData(accountQuery.queryKey, null as never)
    const here = router.currentRoute.value
    if (!here.meta.open && here.matched.length) void router.replace(signIn(here))
  })
  return router
}

const signIn = (to: RouteLocationNormalized) => ({
  path: '/login',
  query: to.fullPath === '/' ? {} : { to: to.fullPath },
})

/** Where somebody may go: to sign in first, or to set up what has no administrator yet. */
async function admitted(to: RouteLocationNormalized, queries: QueryClient) {
  const account = await queries.ensureQueryData(accountQuery).catch(() => null)
  if (account) return to.meta.open ? { path: '/' } : true
  const setup = await queries.fetchQuery(setupQuery).catch(() => null)
  if (setup?.needed) return to.path === '/setup' ? true : { path: '/setup', hash: to.hash }
  return to.path === '/login' ? true : signIn(to.meta.open ? { ...to, fullPath: '/' } : to)
}
