import { expect, it } from 'vitest'
import { toldApart } from './names'

const on = (id: string, name: string, server_id: string) => ({ id, name, server_id })

it('names the server of databases that share their name, and of no other', () => {
  const servers = [{ id: 's', name: 'pg-prod' }, { id: 't', name: 'pg-staging' }]
  const databases = [on('1', 'orders', 's'), on('2', 'orders', 't'), on('3', 'crm', 's'), on('4', 'orders', 'gone')]

  const names = toldApart(databases, servers).map(({ name }) => name)

  expect(names).toEqual(['orders · pg-prod', 'orders · pg-staging', 'crm', 'orders'])
})
