import type { components } from './schema'

type Document = components['schemas']['ProblemDocument']

/** What the server says when it refuses, or that it did not answer (`code` is `offline`). */
export class Problem extends Error {
  readonly status: number
  readonly code: string
  readonly fix: string
  readonly requestId: string
  private readonly faults: Document['errors']

  constructor(status: number, said: Partial<Document>) {
    super(said.detail || said.title || 'The server gave no reason.')
    this.status = status
    this.code = said.code ?? 'unknown'
    this.fix = said.fix ?? ''
    this.requestId = said.request_id ?? ''
    this.faults = said.errors ?? []
  }

  /** What is wrong with the field at a JSON pointer such as `/store/root`. */
  at(pointer: string): string {
    return (this.faults ?? [])
      .filter((fault) => fault.pointer === pointer)
      .map((fault) => fault.message)
      .join('. ')
  }

  /** What is wrong with fields that none of `pointers` shows. */
  besides(pointers: readonly string[]): string[] {
    return (this.faults ?? [])
      .filter((fault) => !pointers.includes(fault.pointer))
      .map((fault) => `${fault.pointer}: ${fault.message}`)
  }
}

export const offline = () =>
  new Problem(0, {
    code: 'offline',
    detail: 'The gateway does not answer.',
    fix: 'Check that the platform runs and that this machine reaches it.',
  })

export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  return new Problem(0, { code: 'unknown', detail: error instanceof Error ? error.message : String(error) })
}
