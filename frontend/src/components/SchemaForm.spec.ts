import { cleanup, fireEvent, render, screen } from '@testing-library/vue'
import { afterEach, expect, it } from 'vitest'
import { defineComponent, h, ref } from 'vue'
import { Problem } from '@/api/problem'
import SchemaForm from './SchemaForm.vue'
import { fieldsOf, toSend, type Fields, type PluginSchema } from './schema'

afterEach(cleanup)

/** A plug-in that no page knows of. */
const SFTP: PluginSchema = {
  title: 'SFTP',
  description: 'A folder on a host.',
  properties: {
    kind: { enum: ['sftp'] },
    host: { title: 'Host', type: 'string', description: 'Where it is' },
    port: { title: 'Port', type: 'integer', default: 22, minimum: 1, maximum: 65535 },
    password: { title: 'Password', type: 'string', writeOnly: true },
    mode: { $ref: '#/$defs/Mode', default: 'passive', title: 'Mode' },
    verify: { title: 'Verify the host', type: 'boolean', default: true },
    host_certificate: { title: 'Certificate', type: 'string', default: '' },
  },
  required: ['kind', 'host', 'password'],
  $defs: { Mode: { enum: ['active', 'passive'] } },
}

function drawn(start: Fields, given: Record<string, unknown> = {}) {
  const values = ref<Fields>(start)
  const page = () =>
    h(SchemaForm, {
      ...{ schemas: { sftp: SFTP }, kinds: 'Kind', pointer: '/store', ...given },
      ...{ modelValue: values.value, 'onUpdate:modelValue': (now: Fields) => (values.value = now) },
    })
  render(defineComponent(() => page))
  return values
}

it('draws a plug-in that it never heard of, filled with its defaults', async () => {
  const values = drawn({})

  await fireEvent.update(await screen.findByLabelText('Host'), 'vault.example')
  await fireEvent.update(screen.getByLabelText('Port'), '2222')

  expect(screen.getByText('A folder on a host.')).toBeTruthy()
  expect(screen.getByLabelText('Password').getAttribute('type')).toBe('password')
  expect(values.value).toMatchObject({ kind: 'sftp', host: 'vault.example', port: 2222, mode: 'passive', verify: true })
})

it('shows what the server refuses at the field that it is about', () => {
  const problem = new Problem(400, { errors: [{ pointer: '/store/host', message: 'no such host' }] })

  drawn({ kind: 'sftp', host: 'x' }, { problem })

  expect(screen.getByLabelText('Host').getAttribute('aria-invalid')).toBe('true')
  expect(screen.getByRole('alert').textContent).toBe('no such host')
})

it('does not ask again for a secret that stands, and sends none that is empty', () => {
  const values = drawn({ kind: 'sftp', host: 'x', password: '' }, { keeps: true })

  expect((screen.getByLabelText(/^Password/) as HTMLInputElement).required).toBe(false)
  expect(toSend(values.value, SFTP)).toEqual({ kind: 'sftp', host: 'x', port: 22, mode: 'passive', verify: true })
})

it('shows the defaults that the server leaves out of what stands', async () => {
  const values = drawn({ kind: 'sftp', host: 'x' }, { keeps: true, fixed: true })

  expect(((await screen.findByLabelText('Port')) as HTMLInputElement).value).toBe('22')
  expect((screen.getByLabelText('Verify the host') as HTMLInputElement).checked).toBe(true)
  await fireEvent.update(screen.getByLabelText('Port'), '')
  expect((screen.getByLabelText('Port') as HTMLInputElement).value).toBe('')
  expect(toSend(values.value, SFTP)).toMatchObject({ mode: 'passive', verify: true })
})

it('keeps what few people change out of sight', () => {
  const advanced = fieldsOf(SFTP).filter((field) => field.advanced).map((field) => field.name)

  expect(advanced).toEqual(['mode', 'verify', 'host_certificate'])
  expect(fieldsOf(SFTP).find((field) => field.name === 'mode')!.choices).toEqual(['active', 'passive'])
})

it('keeps what was typed for a kind while another one is looked at', async () => {
  const values = drawn({}, { schemas: { sftp: SFTP, folder: { title: 'Folder', properties: { path: { title: 'Path', type: 'string' } } } } })
  await fireEvent.update(await screen.findByLabelText('Host'), 'files.example.com')

  await fireEvent.click(screen.getByLabelText('Folder'))
  expect(values.value).toEqual({ kind: 'folder' })
  await fireEvent.click(screen.getByLabelText('SFTP'))

  expect(values.value).toMatchObject({ kind: 'sftp', host: 'files.example.com', port: 22 })
})
