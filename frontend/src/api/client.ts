import createClient from 'openapi-fetch'
import { offline, Problem } from './problem'
import { renewed, signedOut } from './session'
import type { components, paths } from './schema'

export type Schemas = components['schemas']

/** The typed client: paths, parameters and answers are those of docs/api/openapi.json. */
export const api = createClient<paths>({ baseUrl: '', fetch: withSession })

async function withSession(request: Request): Promise<Response> {
  const again = request.clone()
  const asked = Date.now()
  const answer = await reach(request)
  if (answer.status !== 401 || new URL(request.url).pathname.startsWith('/api/v1/auth/login')) return answer
  if (await renewed(asked)) return reach(again)
  signedOut()
  return answer
}

async function reach(request: Request): Promise<Response> {
  try {
    return await fetch(request)
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error
    throw offline()
  }
}

interface Answer<T> {
  data?: T
  error?: unknown
  response: Response
}

/** The body of an answer; throws Problem when the server refuses. */
export async function ask<T>(answer: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await answer
  if (!response.ok) throw new Problem(response.status, typeof error === 'object' && error ? error : {})
  return data as T
}

/** A key that makes sending the same wish twice one wish: one for each form that is opened. */
export function wishKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** The If-Match of a version that was seen. */
export const seen = (version: number) => `"${version}"`
