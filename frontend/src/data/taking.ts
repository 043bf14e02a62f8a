import { api, ask } from '@/api/client'
import { Problem } from '@/api/problem'

/**
 * Hand a file to the browser, which writes it to the disk as it comes: it may be larger than the memory.
 * What the browser fetches by itself renews no session, so that is done before.
 */
export async function take(href: string): Promise<void> {
  try {
    await ask(api.GET('/api/v1/auth/me'))
  } catch (error) {
    if (error instanceof Problem && error.status === 401) throw new Error('Your session has ended. Sign in, and ask for the file again.')
    throw error
  }
  const link = document.createElement('a')
  link.href = href
  link.download = '' // the server names it
  document.body.append(link)
  link.click()
  link.remove()
}

/** A link of a download answers 202 until a signed checkpoint covers the request, then works once. */
export async function takeWhenReady(href: string, pause = 700): Promise<void> {
  const token = href.split('/').at(-1)!
  for (let tries = 0; tries < 60; tries += 1) {
    const { response, error } = await api.GET('/api/v1/downloads/{token}', { params: { path: { token }, query: { ready: true } } })
    if (response.status === 204) return take(href)
    if (!response.ok) throw new Problem(response.status, typeof error === 'object' && error ? error : {})
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
  throw new Error('The audit log has not covered the request yet; try again.')
}
