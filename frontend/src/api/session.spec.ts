import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { api, ask } from './client'
import { problemOf } from './problem'
import { onSignedOut } from './session'

const json = (status: number, body: unknown) =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } })

let answers: (path: string) => Response
const asked: string[] = []

beforeEach(() => {
  localStorage.clear()
  asked.length = 0
  vi.stubGlobal('fetch', async (input: Request | string) => {
    const path = typeof input === 'string' ? input : new URL(input.url).pathname
    asked.push(path)
    return answers(path)
  })
})
afterEach(() => vi.unstubAllGlobals())

it('renews a session that has run out, once for all that wait for it, and asks again', async () => {
  let renewed = 0
  answers = (path) => {
    if (path === '/api/v1/auth/refresh') renewed += 1
    return renewed ? json(200, { items: [] }) : json(401, { code: 'unauthenticated' })
  }

  const both = await Promise.all([ask(api.GET('/api/v1/runs')), ask(api.GET('/api/v1/stores'))])

  expect(both).toEqual([{ items: [] }, { items: [] }])
  expect(renewed).toBe(1)
})

it('says that the session is over when it cannot be renewed', async () => {
  const over = vi.fn()
  onSignedOut(over)
  answers = () => json(401, { code: 'unauthenticated', detail: 'nobody is signed in' })

  await expect(ask(api.GET('/api/v1/runs'))).rejects.toMatchObject({ status: 401 })

  expect(over).toHaveBeenCalled()
})

it('shows what the server refuses at the field that it is about', async () => {
  answers = () =>
    json(400, { code: 'input.invalid', detail: 'wrong input', errors: [{ pointer: '/name', message: 'too long' }] })

  const problem = problemOf(await ask(api.GET('/api/v1/runs')).catch((error: unknown) => error))

  expect(problem.at('/name')).toBe('too long')
  expect(problem.besides(['/name'])).toEqual([])
  expect(problem.besides([])).toEqual(['/name: too long'])
})

it('tells a gateway that is away from one that refuses', async () => {
  answers = () => {
    throw new TypeError('Failed to fetch')
  }

  await expect(ask(api.GET('/api/v1/runs'))).rejects.toMatchObject({ code: 'offline', status: 0 })
})
