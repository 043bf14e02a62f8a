// Writes the typed client from the committed documents of the API: `npm run generate`.
// With --check it only compares: continuous integration fails when the client is stale.
import { readFile, writeFile } from 'node:fs/promises'
import openapiTS, { astToString } from 'openapi-typescript'

const at = (path) => new URL(path, import.meta.url)
const read = async (path) => JSON.parse(await readFile(at(path), 'utf8'))

async function schema() {
  // Fields with defaults stay optional in what is sent.
  const tree = await openapiTS(await read('../../docs/api/openapi.json'), {
    defaultNonNullable: false,
    alphabetize: true,
  })
  return `// Generated from docs/api/openapi.json by \`npm run generate\`.\n\n${astToString(tree)}`
}

async function messages() {
  const { components } = await read('../../docs/api/asyncapi.json')
  const heard = Object.values(components.messages)
    .map((message) => message.name)
    .filter((name) => !/^setting\.claim$/.test(name))
  const lines = [...new Set(heard)].sort().map((name) => `  '${name}',`)
  return [
    '// Generated from docs/api/asyncapi.json by `npm run generate`: what live events are called.',
    '',
    `export const EVENT_TYPES = [\n${lines.join('\n')}\n] as const`,
    '',
  ].join('\n')
}

const checking = process.argv.includes('--check')
for (const [path, make] of [
  ['../src/api/schema.ts', schema],
  ['../src/api/events.ts', messages],
]) {
  const wanted = await make()
  if (!checking) await writeFile(at(path), wanted)
  else if ((await readFile(at(path), 'utf8').catch(() => '')) !== wanted) {
    console.error(`frontend/${path.slice(3)} is stale: run \`.ci/frontend generate\``)
    process.exitCode = 1
  }
}
