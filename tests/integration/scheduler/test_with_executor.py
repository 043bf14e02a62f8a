"""Scheduler and executor together: a database goes through both and comes out equal."""

from __future__ import annotations

from uuid import uuid4

import asyncpg

from services.executor.service import Executor, WorkerKeys
from services.executor.settings import ExecutorSettings
from shared.archive.reader import open_envelope_with_passphrase
from shared.bus import Expect
from shared.keys.reading import read_identity, read_order_key
from shared.messages.facts import (
    BackupCompleted,
    BackupFailed,
    RestoreCompleted,
    RestoreFailed,
    ServerTested,
    ServerTestRequested,
)
from shared.messages.settings import ServerSetting
from shared.messages.values import Endpoint
from shared.stores import Local
from tests.integration.scheduler.test_scheduler import (
    request_backup,
    request_restore,
    scheduler,
)
from tests.integration.town import PASSPHRASE, Town, running
from tests.support.postgres import Postgres
from tests.support.waiting import eventually

CONTENT = "SELECT count(*), md5(string_agg(word, ',' ORDER BY number)) FROM words"


async def test_a_database_is_tested_backed_up_and_restored_by_orders(
    town: Town, customer: Postgres
) -> None:
    shop, copy = f"shop_{uuid4().hex}", f"copy_{uuid4().hex}"
    before = await sample(customer, shop)
    await add_customer(town, customer)
    async with running(executor(town).listen()), scheduler(town):
        test = ServerTestRequested(server_id=town.server_id, run_id=uuid4(), run_pool="core")
        await town.gateway.append(test)
        tested = await town.heard(ServerTested, town.server_id)
        backup = await request_backup(town, shop)
        await ended(town, BackupCompleted, BackupFailed, backup.backup_id)
        (completed,) = await town.said(BackupCompleted, backup.backup_id)
        restore, _ = await request_restore(town, backup.backup_id, copy)
        await ended(town, RestoreCompleted, RestoreFailed, restore.restore_id)

    assert tested.versions["main"].startswith("16.")
    assert await content(customer, copy) == before
    assert before[0] == 20_000
    # The store has a passphrase: it opens the archive, too, without any key of the platform.
    archives = Local(root=str(town.store_root))
    assert await open_envelope_with_passphrase(archives, completed.prefix, PASSPHRASE)


def executor(town: Town) -> Executor:
    keys = WorkerKeys(
        order_key=read_order_key(town.keys.order_key),
        identity=read_identity(town.keys.signing_key, town.keys.certificate),
    )
    told = ExecutorSettings(
        worker_key_file="",
        worker_signing_file="",
        worker_certificate_file="",
        allow_loopback=True,
    )
    return Executor(town.executor, told, keys, name="worker", point=_pass)


async def _pass(_: str) -> None:
    """No kill-point is set."""


async def ended(town, completed, failed, about) -> None:  # type: ignore[no-untyped-def]  # two kinds
    async def either() -> list[object]:
        return [*await town.said(completed, about), *await town.said(failed, about)]

    (ending,) = await eventually(either, within=60)
    assert isinstance(ending, completed), ending.problem


async def add_customer(town: Town, customer: Postgres) -> None:
    """Make the customer's server the one that the town's requests are about."""
    town.server_id = uuid4()
    subject = f"cfg.server.{town.server_id}"
    sealing = town.vault(town.gateway)
    token = await sealing.seal(subject, "endpoints.main.password", customer.password)
    engine = {
        "kind": "postgresql",
        "host": customer.host,
        "port": customer.port,
        "user": customer.user,
        "tls": "off",
        "password": {"key": token.key, "token": token.token},
    }
    server = ServerSetting(
        key=str(town.server_id),
        name="customer",
        runner={"kind": "local"},
        endpoints=[Endpoint(name="main", engine=engine)],
    )
    await town.gateway.append(server, expect=Expect(0))


async def sample(customer: Postgres, name: str) -> tuple[object, ...]:
    connection = await asyncpg.connect(customer.dsn())
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    connection = await asyncpg.connect(customer.dsn(name))
    await connection.execute(
        "CREATE TABLE words AS SELECT number, md5(number::text) AS word"
        " FROM generate_series(1, 20000) AS number"
    )
    await connection.close()
    return await content(customer, name)


async def content(customer: Postgres, name: str) -> tuple[object, ...]:
    connection = await asyncpg.connect(customer.dsn(name))
    row = await connection.fetchrow(CONTENT)
    await connection.close()
    assert row is not None
    return tuple(row)
