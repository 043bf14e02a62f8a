interface Point {
  name: string
  engine: { kind?: unknown }
}

/**
 * Which endpoint of a server a restore begins with: the one it had, where that is of the engine, too;
 * else the first of that engine. None where no endpoint fits. Where the engine is not known, the name counts.
 */
export function endpointFor(endpoints: readonly Point[], before: string, engine?: string): string {
  const fitting = engine ? endpoints.filter((one) => one.engine.kind === engine) : endpoints
  return (fitting.find((one) => one.name === before) ?? fitting[0])?.name ?? ''
}
