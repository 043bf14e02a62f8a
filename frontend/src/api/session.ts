/** The session's cookies are HttpOnly: what is here only renews them, one tab at a time. */

const RENEWED_AT = 'holdfast.renewed_at'
const listeners = new Set<() => void>()

/** Hear that the session is over. */
export function onSignedOut(listener: () => void): void {
  listeners.add(listener)
}

export function signedOut(): void {
  for (const listener of listeners) listener()
}

/**
 * Renew the session, unless another tab has since `asked`. A refresh token works once, and a second
 * use ends the session: so tabs take turns.
 */
export async function renewed(asked: number): Promise<boolean> {
  return inTurn(async () => {
    if (Number(localStorage.getItem(RENEWED_AT)) >= asked) return true
    try {
      const answer = await fetch('/api/v1/auth/refresh', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{}',
      })
      if (answer.ok) localStorage.setItem(RENEWED_AT, String(Date.now()))
      return answer.ok
    } catch {
      return false
    }
  })
}

let queue: Promise<unknown> = Promise.resolve()

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (navigator.locks) return (await navigator.locks.request('holdfast.renew', work)) as T
  const turn = queue.then(work, work)
  queue = turn
  return turn
}
