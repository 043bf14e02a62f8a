import {
  Activity, Archive, Bell, BookOpenCheck, CalendarClock, Code, Database, Gauge, HardDrive, HeartPulse, KeyRound, Server,
  ShieldCheck, SquareTerminal, Users,
} from '@lucide/vue'
import type { Component } from 'vue'
import type { Right } from './data/account'

export interface Place {
  to: string
  name: string
  icon: Component
  right: Right
  /** Pressed after `g`. */
  key: string
}

/** The sidebar, in groups; whoever lacks the right does not see the page. */
export const PLACES: { title: string; places: Place[] }[] = [
  {
    title: '',
    places: [
      { to: '/', name: 'Overview', icon: Gauge, right: 'databases.read', key: 'o' },
      { to: '/databases', name: 'Databases', icon: Database, right: 'databases.read', key: 'd' },
      { to: '/servers', name: 'Servers', icon: Server, right: 'servers.read', key: 's' },
      { to: '/backups', name: 'Backups', icon: Archive, right: 'backups.read', key: 'b' },
      { to: '/runs', name: 'Runs', icon: Activity, right: 'runs.read', key: 'r' },
    ],
  },
  {
    title: 'Protection',
    places: [
      { to: '/schedules', name: 'Schedules', icon: CalendarClock, right: 'schedules.read', key: 'c' },
      { to: '/policies', name: 'Policies', icon: BookOpenCheck, right: 'policies.read', key: 'p' },
      { to: '/stores', name: 'Stores', icon: HardDrive, right: 'stores.read', key: 't' },
      { to: '/notifications', name: 'Notifications', icon: Bell, right: 'notifications.read', key: 'n' },
      { to: '/commands', name: 'Commands', icon: SquareTerminal, right: 'commands.read', key: 'm' },
    ],
  },
  {
    title: 'Installation',
    places: [
      { to: '/audit', name: 'Audit', icon: ShieldCheck, right: 'audit.read', key: 'a' },
      { to: '/system', name: 'System', icon: HeartPulse, right: 'system.read', key: 'y' },
      { to: '/keys', name: 'Keys', icon: KeyRound, right: 'keys.read', key: 'k' },
      { to: '/users', name: 'Users', icon: Users, right: 'users.read', key: 'u' },
      { to: '/developers', name: 'Developers', icon: Code, right: 'events.read', key: 'v' },
    ],
  },
]

/** The place of the sidebar that a path lies under. */
export const placeOf = (path: string): Place | undefined =>
  PLACES.flatMap((group) => group.places).find(({ to }) => path === to || (to !== '/' && path.startsWith(`${to}/`)))
