import type { QueryClient } from '@tanstack/vue-query'
import type { LiveEvent } from './messages'

/** What a run says of its progress, as the query `['progress', run]` holds it. */
export interface Progress {
  run_id: string
  attempt: number
  stage: string
  raw_bytes: number
  stored_bytes: number
  total_bytes: number | null
  bytes_per_s: number
  at: string
}

/** The queries that show something of a noun; their keys begin with these words. */
const SHOWN_IN: Record<string, readonly string[]> = {
  backup: ['backups', 'runs', 'protection', 'days', 'overview', 'usage'],
  archive: ['backups', 'overview', 'usage', 'keys'],
  restore: ['restores', 'runs'],
  run: ['runs', 'backups', 'restores', 'overview'],
  execution: ['executions', 'runs'],
  server: ['servers', 'runs', 'databases', 'protection', 'overview'],
  database: ['databases', 'protection'],
  store: ['stores', 'overview', 'usage', 'imports'],
  group: ['groups'],
  policy: ['policies'],
  schedule: ['schedules'],
  blackout: ['blackouts', 'schedules'],
  objective: ['objectives', 'protection', 'overview'],
  command: ['commands'],
  channel: ['channels', 'deliveries'],
  rule: ['rules'],
  template: ['templates'],
  notification: ['deliveries'],
  redelivery: ['deliveries'],
  service: ['overview'],
  user: ['users', 'me', 'sessions'],
  api_key: ['api_keys'],
  letter: ['letters'],
  dispatch: ['dispatch', 'overview', 'schedules'],
  key: ['keys'],
}
const FLUSH_MS = 250

/** Lets events change what pages show: progress at once, the rest by asking for it anew. */
export class Effects {
  private readonly stale = new Set<string>()
  private readonly progress = new Map<string, Progress>()
  private readonly queries: QueryClient
  private timer = 0
  private frame = 0

  constructor(queries: QueryClient) {
    this.queries = queries
  }

  of({ type, subject, event }: LiveEvent): void {
    if (type === 'output.progress') {
      this.patch(event as unknown as Progress)
      return
    }
    if (!type.startsWith('output.')) {
      this.stale.add('audit') // every event is an entry
      if (subject.startsWith('cfg.')) this.stale.add('versions')
    }
    for (const name of SHOWN_IN[nounOf(subject)] ?? []) this.stale.add(name)
    // Together: a finished backup says several things at once.
    if (this.stale.size && !this.timer) this.timer = window.setTimeout(() => this.flush(), FLUSH_MS)
  }

  /** Ask for everything anew. */
  all(): void {
    void this.queries.invalidateQueries()
  }

  private patch(said: Progress): void {
    this.progress.set(said.run_id, said)
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0
      for (const [run, newest] of this.progress) this.queries.setQueryData(['progress', run], newest)
      this.progress.clear()
    })
  }

  private flush(): void {
    this.timer = 0
    const names = new Set(this.stale)
    this.stale.clear()
    // An answer under way is waited for, and then asked for anew: in a busy night none would ever come.
    const predicate = ({ queryKey }: { queryKey: readonly unknown[] }) => names.has(String(queryKey[0]))
    const under = this.queries.isFetching({ predicate })
    void this.queries.invalidateQueries({ predicate }, { cancelRefetch: false }).then(() => {
      if (under) void this.queries.invalidateQueries({ predicate }, { cancelRefetch: false })
    })
  }
}

/** `backup` of `evt.backup.completed.core.x`, `server` of `cfg.server.x`. */
export const nounOf = (subject: string): string => subject.split('.')[1] ?? ''
