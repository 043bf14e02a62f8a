/** What a plug-in's JSON schema says about its form. */

export interface PluginSchema {
  title?: string
  description?: string
  properties?: Record<string, Property>
  required?: string[]
  $defs?: Record<string, Property>
}

interface Property {
  title?: string
  description?: string
  type?: string
  enum?: unknown[]
  default?: unknown
  writeOnly?: boolean
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  pattern?: string
  $ref?: string
}

export type Fields = Record<string, unknown>

export interface Field {
  name: string
  title: string
  help: string
  kind: 'text' | 'long' | 'number' | 'switch' | 'choice'
  choices: string[]
  secret: boolean
  required: boolean
  /** Has a default that suits most: shown on demand. */
  advanced: boolean
  default: unknown
  minimum?: number
  maximum?: number
  maxLength?: number
  pattern?: string
}

const LONG = 5000
const ALWAYS_SHOWN = new Set(['port', 'password', 'tls', 'endpoint', 'region', 'username', 'security'])

/** The fields in the schema's order, without `kind`. */
export function fieldsOf(schema: PluginSchema): Field[] {
  const required = new Set(schema.required ?? [])
  return Object.entries(schema.properties ?? {})
    .filter(([name]) => name !== 'kind')
    .map(([name, given]) => fieldOf(name, { ...resolved(schema, given), ...given }, required.has(name)))
}

function fieldOf(name: string, of: Property, required: boolean): Field {
  return {
    name,
    title: of.title ?? name,
    help: of.description ?? '',
    kind: kindOf(name, of),
    choices: (of.enum ?? []).map(String),
    secret: of.writeOnly ?? false,
    required,
    advanced: !required && !ALWAYS_SHOWN.has(name),
    default: of.default,
    minimum: of.minimum,
    maximum: of.maximum,
    maxLength: of.maxLength,
    pattern: htmlPattern(of.pattern),
  }
}

function kindOf(name: string, of: Property): Field['kind'] {
  if (of.enum) return 'choice'
  if (of.type === 'boolean') return 'switch'
  if (of.type === 'integer' || of.type === 'number') return 'number'
  return (of.maxLength ?? 0) > LONG || /certificate|private_key/.test(name) ? 'long' : 'text'
}

function resolved(schema: PluginSchema, of: Property): Property {
  const name = of.$ref?.split('/').at(-1)
  return (name && schema.$defs?.[name]) || {}
}

/** The browser's own check, where it understands the pattern; the server checks in any case. */
function htmlPattern(pattern?: string): string | undefined {
  const inner = pattern?.replace(/^\^/, '').replace(/\(\?!\\n\)$/, '').replace(/\$$/, '')
  if (!inner) return undefined
  try {
    new RegExp(inner, 'v')
    return inner
  } catch {
    return undefined
  }
}

/** What to send: secrets that stay empty are left out where what stands is kept. */
export function toSend(values: Fields, schema: PluginSchema | undefined): Fields {
  const sent: Fields = { ...values }
  for (const field of schema ? fieldsOf(schema) : []) {
    const value = sent[field.name]
    if (value === '' && (field.secret || !field.required)) delete sent[field.name]
  }
  return sent
}
