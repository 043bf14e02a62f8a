"""Turns a request into the order that carries it out: self-contained, secrets sealed."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from services.scheduler.errors import (
    NotExecutableError,
    NotReadyError,
    NotRestorableError,
    NoWorkerError,
    ServerGoneError,
    StoreGoneError,
)
from services.scheduler.quotas import Quotas
from services.scheduler.state import Archived, Request, Run, State
from shared.archive.envelopes import open_envelope
from shared.archive.keys import RecipientKey, fingerprint
from shared.bus import Bus
from shared.keys.opened import open_endpoint, open_server, open_store_config, pool_key, sealed_to
from shared.keys.vault import Vault
from shared.messages.base import Order, consequence
from shared.messages.facts import (
    BackupRequested,
    ExecutionRequested,
    RestoreRequested,
    ServerDiscoveryRequested,
    ServerTestRequested,
)
from shared.messages.orders import DiscoverServer, OrderSecrets, RunBackup, RunRestore, TestServer
from shared.messages.settings import PlatformSetting, ServerSetting, StoreSetting
from shared.messages.values import ArchiveFacts, PluginConfig
from shared.stores import open_store
from shared.stores.base import StoreUnreachableError

ACTOR = "service:scheduler"
STORE_ANSWERS_S = 30.0

VALID_FOR = {
    "backup": timedelta(hours=24),
    "restore": timedelta(hours=24),
    "command": timedelta(hours=1),
    "test": timedelta(seconds=60),
    "discovery": timedelta(seconds=60),
}
"""How long after its dispatch a worker may still begin a run of each kind."""


def order_id(request: Request) -> UUID:
    """The id of the one order that follows from a request."""
    return consequence(request.id, "order")


class Orders:
    """Builds orders; the only place that opens archive keys and the secrets of servers."""

    def __init__(self, bus: Bus, state: State, vault: Vault, kek: RecipientKey) -> None:
        self._bus, self._state, self._vault, self._kek = bus, state, vault, kek
        self._quotas = Quotas(time.monotonic)

    async def admit(self, run: Run, request: Request) -> None:
        """Raises QuotaExceededError where a backup or one of its copies has no room."""
        if not isinstance(request, BackupRequested):
            return
        server = await self._server(request.database.server_id)
        stores = [
            store
            for store_id in (request.store_id, *request.further_store_ids)
            if (store := await self._state.store(store_id)) is not None
        ]
        self._quotas.admit(run.run_id, await self._state.need(server, stores, request.database.id))

    async def build(self, run: Run, request: Request, *, dispatched_at: datetime) -> Order:
        """The order for `run`, the same each time but for its sealing.

        Raises a retryable error while the pool, the read model or the store is not ready, and
        any other PlatformError when the request can never be carried out.
        """
        if isinstance(request, ExecutionRequested):
            raise NotExecutableError(f"a {run.kind} cannot be executed by this version")
        public = await pool_key(self._bus, run.pool)
        if public is None:
            raise NoWorkerError(f"no worker of pool {run.pool} has started yet")
        head: dict[str, Any] = {
            "id": order_id(request),
            "actor": ACTOR,
            "caused_by": request.id,
            "request_id": request.request_id,
            "pool": run.pool,
            "run_id": run.run_id,
            "not_after": dispatched_at + VALID_FOR[run.kind],
            "sealed": "",
        }
        match request:
            case BackupRequested():
                return await self._backup(public, head, request)
            case RestoreRequested():
                return await self._restore(public, head, request)
            case ServerTestRequested() | ServerDiscoveryRequested():
                return await self._about_server(public, head, request)

    async def _backup(self, public: str, head: dict[str, Any], request: BackupRequested) -> Order:
        server = await self._server(request.database.server_id)
        store = await self._store(request.store_id)
        platform = await self._platform()
        secrets = await open_endpoint(self._vault, server, request.database.endpoint)
        order = RunBackup(
            **head,
            backup_id=request.backup_id,
            database_id=request.database.id,
            server_id=request.database.server_id,
            database=request.database.name,
            store_id=request.store_id,
            recipients=[platform.platform_recipient, platform.recovery_recipient],
            type_wanted=request.type_wanted,
            method=request.method,
            codec=request.codec,
            checkpoint=await self._state.checkpoint(),
        )
        opened = await open_store_config(self._vault, store)
        return sealed_to(public, order, msgspec.structs.replace(secrets, store=opened))

    async def _restore(self, public: str, head: dict[str, Any], request: RestoreRequested) -> Order:
        backup = await self._state.backup(request.backup_id)
        store_id, prefix, archive = restorable(backup, request.store_id)
        server = await self._server(request.target.server_id)
        platform = await self._platform()
        secrets = await open_endpoint(self._vault, server, request.target.endpoint)
        order = RunRestore(
            **head,
            restore_id=request.restore_id,
            backup_id=request.backup_id,
            server_id=request.target.server_id,
            target=request.target.name,
            store_id=store_id,
            prefix=prefix,
            manifest_sha256=archive.manifest_sha256,
            trusted=fingerprint(bytes.fromhex(platform.audit_public_key)),
            tables=archive.tables,
        )
        opened = await self._with_archive_key(secrets, await self._store(store_id), prefix)
        return sealed_to(public, order, opened)

    async def _with_archive_key(
        self, secrets: OrderSecrets, store: StoreSetting, prefix: str
    ) -> OrderSecrets:
        config = await open_store_config(self._vault, store)
        key = await self._opened(config, prefix)
        return msgspec.structs.replace(secrets, store=config, archive_key=key)

    async def archive_key(self, backup_id: UUID) -> bytes:
        """The key of a backup's archive; raises as `build` does."""
        store_id, prefix, _ = restorable(await self._state.backup(backup_id))
        config = await open_store_config(self._vault, await self._store(store_id))
        return await self._opened(config, prefix)

    async def _opened(self, config: PluginConfig, prefix: str) -> bytes:
        store = open_store(msgspec.json.encode(config))
        try:
            async with asyncio.timeout(STORE_ANSWERS_S):
                return await open_envelope(store, prefix, self._kek)
        except TimeoutError:
            raise StoreUnreachableError("the store does not answer") from None

    async def _about_server(
        self,
        public: str,
        head: dict[str, Any],
        request: ServerTestRequested | ServerDiscoveryRequested,
    ) -> Order:
        server = await self._server(request.server_id)
        kind = TestServer if isinstance(request, ServerTestRequested) else DiscoverServer
        order = kind(**head, server_id=request.server_id)
        return sealed_to(public, order, await open_server(self._vault, server))

    async def _server(self, server_id: UUID) -> ServerSetting:
        if (server := await self._state.server(server_id)) is None:
            raise ServerGoneError("the server no longer exists")
        return server

    async def _store(self, store_id: str) -> StoreSetting:
        if (store := await self._state.store(store_id)) is None:
            raise StoreGoneError("the store no longer exists")
        return store

    async def _platform(self) -> PlatformSetting:
        if (platform := await self._state.platform()) is None:
            raise NotReadyError("the platform has not finished its first start")
        return platform


def restorable(
    backup: Archived | None, wanted_store: str | None = None
) -> tuple[str, str, ArchiveFacts]:
    """Store, prefix and what is known of a backup; raises NotRestorableError.

    Its own store comes first; where it is gone or corrupt there, a good copy takes its place.
    """
    if backup is None:
        raise NotRestorableError("there is no such backup")
    if backup.archive is None:
        raise NotRestorableError(f"the backup is {backup.status}")
    places = [] if backup.deletion_wanted else [*backup.copies]
    if backup.status == "completed" and backup.prefix and backup.proof != "corrupt":
        places.insert(0, (backup.store_id, backup.prefix))
    for store_id, prefix in places:
        if wanted_store in {None, store_id}:
            return store_id, prefix, backup.archive
    if backup.status == "completed" and wanted_store in {None, backup.store_id}:
        raise NotRestorableError("the backup was found corrupt in its store")
    if wanted_store is not None:
        raise NotRestorableError("the backup does not stand whole in this store")
    raise NotRestorableError(f"the backup is {backup.status}")
