"""Turns a request into the order that carries it out: self-contained, secrets sealed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from services.scheduler.chains import Archived, Part, parent_of, restorable
from services.scheduler.damage import EnvelopeDamagedError, Suspect, is_damage, say_damaged
from services.scheduler.errors import (
    NotExecutableError,
    NotReadyError,
    NoWorkerError,
    ServerGoneError,
    StoreGoneError,
)
from services.scheduler.quotas import Quotas
from services.scheduler.state import Request, Run, State
from shared.archive.envelopes import open_envelope
from shared.archive.errors import ArchiveError
from shared.archive.keys import RecipientKey, fingerprint
from shared.bus import Bus
from shared.keys.opened import (
    open_endpoint,
    open_passphrase,
    open_server,
    open_store_config,
    pool_key,
    sealed_to,
)
from shared.keys.vault import Vault
from shared.messages.base import Order, consequence
from shared.messages.facts import (
    BackupRequested,
    ExecutionRequested,
    RestoreRequested,
    ServerDiscoveryRequested,
    ServerTestRequested,
)
from shared.messages.facts.archives import archive_id
from shared.messages.orders import (
    ChainPart,
    ChainSecrets,
    DiscoverServer,
    OrderSecrets,
    RunBackup,
    RunRestore,
    RunVerification,
    TestServer,
)
from shared.messages.settings import PlatformSetting, ServerSetting, StoreSetting
from shared.messages.values import BackupType, PluginConfig
from shared.stores import Store, open_store
from shared.stores.base import StoreUnreachableError
from shared.stores.reach import require_permitted

ACTOR = "service:scheduler"
STORE_ANSWERS_S = 30.0

VALID_FOR = {
    "backup": timedelta(hours=24),
    "restore": timedelta(hours=24),
    "verification": timedelta(hours=24),
    "command": timedelta(hours=1),
    "test": timedelta(seconds=60),
    "discovery": timedelta(seconds=60),
}
"""How long after its dispatch a worker may still begin a run of each kind."""


def order_id(request: Request) -> UUID:
    """The id of the one order that follows from a request."""
    return consequence(request.id, "order")


class _Parent(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup builds on; nothing, and perhaps why, for a full."""

    parts: list[Part] = []
    secrets: list[ChainSecrets] = []
    chain_id: UUID | None = None
    full_because: str = ""

    def __repr__(self) -> str:
        return f"_Parent(parts={self.parts!r})"


class Orders:
    """Builds orders; the only place that opens archive keys and the secrets of servers."""

    def __init__(
        self,
        bus: Bus,
        state: State,
        vault: Vault,
        keys: tuple[RecipientKey, ...],
        *,
        allow_loopback: bool = False,
    ) -> None:
        self._bus, self._state, self._vault, self._keys = bus, state, vault, keys
        self._allow_loopback = allow_loopback
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
        kind = await self._kind(request)
        need = await self._state.need(server, stores, request.database.id, kind)
        self._quotas.admit(run.run_id, need)

    async def _kind(self, request: BackupRequested) -> BackupType:
        """What the backup will be: an increment that finds nothing to build on is a full."""
        if request.type_wanted is BackupType.FULL:
            return BackupType.FULL
        full = isinstance(await self._found(request), str)
        return BackupType.FULL if full else request.type_wanted

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
        config = await open_store_config(self._vault, store)
        parent = await self._parent(request, config)
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
            chain=[_named(part) for part in parent.parts],
            chain_id=parent.chain_id,
            trusted=_trusted(platform, parent.parts),
            full_because=parent.full_because,
        )
        opened = msgspec.structs.replace(
            secrets,
            store=config,
            pace=store.pace,
            chain=parent.secrets,
            passphrase=await open_passphrase(self._vault, store),
        )
        return sealed_to(public, order, opened)

    async def _parent(self, request: BackupRequested, config: PluginConfig) -> _Parent:
        """What an increment builds on; a chain that cannot be opened makes it a full, and why."""
        if request.type_wanted is BackupType.FULL:
            return _Parent()
        found = await self._found(request)
        if isinstance(found, str):
            return _Parent(full_because=found)
        try:
            keys = [await self._key_of(part, config) for part in found]
        except ArchiveError as error:
            return _Parent(full_because=f"the chain's keys cannot be opened: {error.cause}")
        secrets = [ChainSecrets(archive_key=key) for key in keys]
        return _Parent(parts=found, secrets=secrets, chain_id=found[-1].backup_id)

    async def _found(self, request: BackupRequested) -> list[Part] | str:
        """What an increment would build on, or why it has to be a full."""
        return parent_of(
            await self._state.newest_chain(request.database.id, request.store_id),
            store_id=request.store_id,
            wanted=request.type_wanted,
            method=request.method,
            limit=request.chain_limit,
        )

    async def _restore(self, public: str, head: dict[str, Any], request: RestoreRequested) -> Order:
        parts = await self._parts(request.backup_id, request.store_id)
        server = await self._server(request.target.server_id)
        platform = await self._platform()
        secrets = await open_endpoint(self._vault, server, request.target.endpoint)
        kind = RunVerification if request.deep else RunRestore
        order = kind(
            **head,
            restore_id=request.restore_id,
            backup_id=request.backup_id,
            server_id=request.target.server_id,
            target=request.target.name,
            store_id=parts[0].store_id,
            prefix=parts[0].prefix,
            manifest_sha256=parts[0].archive.manifest_sha256,
            trusted=_trusted(platform, parts),
            tables=parts[0].archive.tables,
            chain=[_named(part) for part in parts[1:]],
            test=request.test,
            server_version=parts[0].archive.server_version,
            checks=await self._state.checks(request.backup_id) if request.test else [],
            copy_in=parts[0].copy_in,
        )
        return sealed_to(public, order, await self._with_archive_keys(secrets, parts))

    async def _parts(self, backup_id: UUID, store_id: str | None = None) -> list[Part]:
        backup = await self._state.backup(backup_id)
        others: dict[UUID, Archived] = {}
        if backup is not None and backup.parent_id is not None and backup.chain_id is not None:
            others = {one.id: one for one in await self._state.chain(backup.chain_id)}
        return restorable(backup, others, store_id)

    async def _with_archive_keys(self, secrets: OrderSecrets, parts: list[Part]) -> OrderSecrets:
        opened = [await self._unlocked(part) for part in parts]
        (first, key), own = opened[0], parts[0].store_id
        paces = {one: (await self._store(one)).pace for one in {part.store_id for part in parts}}
        chain = [
            ChainSecrets(archive_key=one)
            if part.store_id == own
            else ChainSecrets(archive_key=one, store=config, pace=paces[part.store_id])
            for part, (config, one) in zip(parts[1:], opened[1:], strict=True)
        ]
        return msgspec.structs.replace(
            secrets, store=first, pace=paces[own], archive_key=key, chain=chain
        )

    async def _unlocked(self, part: Part) -> tuple[PluginConfig, bytes]:
        """The store of an archive, opened, and the archive's key."""
        config = await open_store_config(self._vault, await self._store(part.store_id))
        return config, await self._key_of(part, config)

    async def _key_of(self, part: Part, config: PluginConfig) -> bytes:
        """The key of an archive. Where its envelope is damaged that is said, and
        EnvelopeDamagedError raised: the next try finds another archive, or none. Where the store
        is not mounted, NotMountedError."""
        try:
            return await self._opened(config, part.prefix)
        except ArchiveError as error:
            if not is_damage(error):
                raise
            suspect = Suspect(
                backup_id=part.backup_id,
                archive_id=archive_id(part.backup_id, part.store_id) if part.copied else None,
                store_id=part.store_id,
                prefix=part.prefix,
            )
            async with _answering():
                await say_damaged(self._bus, await self._permitted(config), suspect, error)
            raise EnvelopeDamagedError(error.cause) from error

    async def archive_keys(self, backup_id: UUID) -> list[tuple[Part, bytes]]:
        """The archives that a dump is read from, the backup's own first; raises as `build` does."""
        parts = await self._parts(backup_id)
        return [(part, (await self._unlocked(part))[1]) for part in parts]

    async def open(self, store_id: str) -> Store:
        """A store with its credentials; raises StoreGoneError and as `require_permitted` does."""
        config = await open_store_config(self._vault, await self._store(store_id))
        return await self._permitted(config)

    async def _permitted(self, config: PluginConfig) -> Store:
        store = open_store(msgspec.json.encode(config))
        await require_permitted(store, allow_loopback=self._allow_loopback)
        return store

    async def _opened(self, config: PluginConfig, prefix: str) -> bytes:
        async with _answering():
            return await open_envelope(await self._permitted(config), prefix, *self._keys)

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


@asynccontextmanager
async def _answering() -> AsyncIterator[None]:
    """A store that is too slow is one that cannot be reached."""
    try:
        async with asyncio.timeout(STORE_ANSWERS_S):
            yield
    except TimeoutError:
        raise StoreUnreachableError("the store does not answer") from None


def _named(part: Part) -> ChainPart:
    return ChainPart(
        backup_id=part.backup_id,
        prefix=part.prefix,
        manifest_sha256=part.archive.manifest_sha256,
        copy_in=part.copy_in,
    )


def _trusted(platform: PlatformSetting, parts: Sequence[Part]) -> str:
    """Of each platform that may have certified what is read: imported archives name theirs, the
    others are ours, made before or after the audit key was replaced."""
    ours = [fingerprint(bytes.fromhex(key)) for key in platform.audit_keys]
    theirs = [part.signed_by for part in parts if part.signed_by]
    if len(theirs) == len(parts) and parts:
        ours = []
    return ",".join(dict.fromkeys([*ours, *theirs]))
