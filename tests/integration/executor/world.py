"""An executor and all around it: a bus, keys, a store, orders as the scheduler makes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg
import msgspec

from services.executor.service import Executor, WorkerKeys
from services.executor.settings import ExecutorSettings
from shared.archive.keys import RecipientKey
from shared.archive.objects import load_manifest
from shared.archive.reader import open_envelope
from shared.bus import Bus
from shared.bus.base import EVENTS
from shared.faults import Point, no_point
from shared.keys.files import KeyFolder, ensure_keys, platform_fingerprint
from shared.keys.reading import read_identity, read_key_encryption_keys, read_order_key
from shared.keys.worker import public_half, seal_for_worker
from shared.messages.base import CORE, Fact, Order, now
from shared.messages.facts import BackupCompleted
from shared.messages.orders import (
    OrderSecrets,
    RunBackup,
    RunRestore,
    RunVerification,
    ServerSecrets,
)
from shared.stores.local import Local as LocalStore
from tests.support.postgres import Postgres
from tests.support.waiting import eventually

_Fact = TypeVar("_Fact", bound=Fact)
_Order = TypeVar("_Order", bound=Order)


class World:
    """What a test says to an executor, and hears from it."""

    def __init__(
        self, bus: Bus, folder: Path, *, pool: str = CORE, keys: KeyFolder | None = None
    ) -> None:
        self.bus, self.folder, self.pool = bus, folder, pool
        self.keys = keys or ensure_keys(folder / "keys", pool)
        self.work_folder = folder / "work"
        self.store = folder / "store"
        self.store.mkdir(parents=True)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "WORKER_KEY_FILE": str(self.keys.order_key),
            "ALLOW_LOOPBACK": "true",
            "WORKER_SIGNING_FILE": str(self.keys.signing_key),
            "WORKER_CERTIFICATE_FILE": str(self.keys.certificate),
            "WORK_FOLDER": str(self.work_folder),
            "POOL": self.pool,
        }

    @property
    def recipient(self) -> RecipientKey:
        return read_key_encryption_keys(self.keys.kek)[0]

    @asynccontextmanager
    async def executor(
        self, *, point: Point = no_point, bus: Bus | None = None, tools: Path | None = None
    ) -> AsyncIterator[Executor]:
        """A worker in this process, until the end of the block."""
        settings = ExecutorSettings(
            worker_key_file="",
            worker_signing_file="",
            worker_certificate_file="",
            pool=self.pool,
            work_folder=str(self.work_folder),
            tool_folders=str(tools or ""),
            allow_loopback=True,
        )
        keys = WorkerKeys(
            order_key=read_order_key(self.keys.order_key),
            identity=read_identity(self.keys.signing_key, self.keys.certificate),
        )
        executor = Executor(bus or self.bus, settings, keys, name="worker-1", point=point)
        listening = asyncio.create_task(executor.listen())
        try:
            yield executor
            assert not listening.done(), listening.exception()
        finally:
            listening.cancel()
            await asyncio.wait({listening})

    def sealed(self, order: _Order, secrets: msgspec.Struct) -> _Order:
        key = public_half(read_order_key(self.keys.order_key))
        return msgspec.structs.replace(order, sealed=seal_for_worker(secrets, key, order))

    def backup_order(
        self, engine: dict[str, Any], database: str, *, store: dict[str, Any] | None = None
    ) -> RunBackup:
        order = RunBackup(
            pool=self.pool,
            run_id=uuid4(),
            not_after=now() + timedelta(hours=1),
            sealed="",
            backup_id=uuid4(),
            database_id=uuid4(),
            server_id=uuid4(),
            database=database,
            store_id="store-1",
            recipients=[self.recipient.public.text()],
        )
        return self.sealed(order, self._secrets(engine, store))

    async def restore_order(
        self, engine: dict[str, Any], target: str, backup: BackupCompleted, **more: Any
    ) -> RunRestore:
        order = RunRestore(
            pool=self.pool,
            run_id=uuid4(),
            not_after=now() + timedelta(hours=1),
            sealed="",
            restore_id=uuid4(),
            backup_id=backup.backup_id,
            server_id=uuid4(),
            target=target,
            store_id="store-1",
            prefix=backup.prefix,
            manifest_sha256=backup.archive.manifest_sha256,
            trusted=platform_fingerprint(self.keys),
            tables=backup.archive.tables,
            **more,
        )
        secrets = self._secrets(engine, None, archive_key=await self.archive_key(backup))
        return self.sealed(order, secrets)

    async def archive_key(self, backup: BackupCompleted) -> bytes:
        return await open_envelope(LocalStore(root=str(self.store)), backup.prefix, self.recipient)

    def server_secrets(self, engines: dict[str, dict[str, Any]]) -> ServerSecrets:
        return ServerSecrets(runner={"kind": "local"}, engines=engines)

    async def ending(
        self, order: RunBackup | RunRestore | RunVerification, *, within: float = 60.0
    ) -> Fact:
        """The fact that ends the run."""
        noun = "backup" if isinstance(order, RunBackup) else "restore"
        aggregate = order.backup_id if isinstance(order, RunBackup) else order.restore_id

        async def ended() -> Fact | None:
            for delivery in await self.bus.last_of(f"evt.{noun}.*.{self.pool}.{aggregate}"):
                message = delivery.message
                if message.type.partition(".")[2] in {"completed", "failed", "cancelled"}:
                    assert isinstance(message, Fact)
                    return message
            return None

        return await eventually(ended, within=within)

    async def backup(self, engine: dict[str, Any], database: str) -> BackupCompleted:
        """A backup that ends well."""
        order = self.backup_order(engine, database)
        await self.bus.append(order)
        ended = await self.ending(order)
        assert isinstance(ended, BackupCompleted), ended
        return ended

    async def facts(self, order: RunBackup) -> list[Fact]:
        """Every fact of the backup, in order."""
        found: list[Fact] = []
        subject = f"evt.backup.*.{self.pool}.{order.backup_id}"
        last = max([one.seq for one in await self.bus.last_of(subject)], default=0)
        if last:
            async for delivery in self.bus.follow(EVENTS, after_seq=0, filters=[subject]):
                message = delivery.message
                assert isinstance(message, Fact)
                found.append(message)
                if delivery.seq == last:
                    break
        return found

    def objects(self, backup_id: UUID) -> list[str]:
        """What lies in the store for a backup."""
        return sorted(
            str(path.relative_to(self.store))
            for path in self.store.rglob("*")
            if path.is_file() and str(backup_id) in str(path)
        )

    def sessions(self) -> list[Path]:
        """Private folders of tools that are still there."""
        return list(self.work_folder.glob("session-*"))

    def _secrets(
        self,
        engine: dict[str, Any],
        store: dict[str, Any] | None,
        archive_key: bytes | None = None,
    ) -> OrderSecrets:
        return OrderSecrets(
            runner={"kind": "local"},
            engine=engine,
            store=store or {"kind": "local", "root": str(self.store)},
            archive_key=archive_key,
        )


def engine_of(server: Postgres, **fields: Any) -> dict[str, Any]:
    """The settings of the engine that reaches a server of a test."""
    return {
        "kind": "postgresql",
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "password": server.password,
        "tls": "off",
        "content_check": "hashes",
    } | fields


@asynccontextmanager
async def database(server: Postgres, script: str, name: str | None = None) -> AsyncIterator[str]:
    """A database of a test's own with the content of an SQL script."""
    made = name or f"shop_{uuid4().hex[:8]}"
    quoted = made.replace('"', '""')
    admin = await asyncpg.connect(server.dsn())
    try:
        await admin.execute(f'create database "{quoted}" template template0 encoding UTF8')
        connection = await asyncpg.connect(server.dsn(), database=made)
        await connection.execute(script)
        await connection.close()
        yield made
    finally:
        await admin.execute(f'drop database if exists "{quoted}" with (force)')
        await admin.close()


__all__ = ["World", "database", "engine_of", "load_manifest"]
