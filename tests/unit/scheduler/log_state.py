"""What the scheduler decides on, folded from the memory bus's log instead of read from Postgres."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec

from services.scheduler.chains import Archived
from services.scheduler.quotas import Need
from services.scheduler.state import Request, Run
from shared.bus import Delivery
from shared.bus.base import EVENTS
from shared.bus.memory import MemoryBus
from shared.messages.facts import (
    BackupAttempted,
    BackupCancelled,
    BackupCompleted,
    BackupFailed,
    BackupRequested,
    DispatchPaused,
    DispatchResumed,
    ExecutionFailed,
    ExecutionRequested,
    RestoreAttempted,
    RestoreCancelled,
    RestoreCompleted,
    RestoreFailed,
    RestoreRequested,
    RunCancelRequested,
    RunDispatched,
    ServerDiscovered,
    ServerDiscoveryRequested,
    ServerTested,
    ServerTestRequested,
)
from shared.messages.settings import PlatformSetting, ServerSetting, StoreSetting
from shared.messages.values import BackupType

ENDINGS = (
    BackupCompleted
    | BackupFailed
    | BackupCancelled
    | RestoreCompleted
    | RestoreFailed
    | RestoreCancelled
    | ExecutionFailed
    | ServerTested
    | ServerDiscovered
)


CHANGES = RunDispatched | RunCancelRequested | BackupAttempted | RestoreAttempted


class LogState:
    """A `State`; settings, backups and checkpoints are put in by the test.

    `meanwhile` happens whenever the scheduler reads a request: what others do at that moment.
    """

    def __init__(self, bus: MemoryBus, platform: PlatformSetting) -> None:
        self._log = bus.server.stream(EVENTS)
        self._platform = platform
        self.servers: dict[UUID, ServerSetting] = {}
        self.stores: dict[str, StoreSetting] = {}
        self.backups: dict[UUID, Archived] = {}
        self.needs: dict[UUID, Need] = {}
        self.checkpointed_seq = 10_000
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    async def at_least(self, seq: int) -> None:
        assert self._log.last_seq >= seq

    async def is_stored(self, event_id: UUID) -> bool:
        return any(one.message.id == event_id for one in self._log.messages)

    async def open_runs(self) -> list[Run]:
        runs: dict[UUID, Run] = {}
        for delivery in self._log.messages:
            _fold(runs, delivery)
        return list(runs.values())

    async def run_limits(self) -> Mapping[UUID, int]:
        return {key: server.run_limit for key, server in self.servers.items()}

    async def store_limits(self) -> Mapping[str, int]:
        return {key: store.run_limit for key, store in self.stores.items()}

    async def is_paused(self) -> bool:
        said = [
            one.message
            for one in self._log.messages
            if isinstance(one.message, DispatchPaused | DispatchResumed)
        ]
        return bool(said) and isinstance(said[-1], DispatchPaused)

    async def request(self, seq: int) -> Request | None:
        if self.meanwhile is not None:
            await self.meanwhile()
        message = self._log.messages[seq - 1].message
        return message if isinstance(message, Request) else None

    def look_anew(self) -> None:
        """Nothing is remembered here."""

    async def headers(self, seq: int) -> Mapping[str, str]:
        return self._log.messages[seq - 1].headers

    async def server(self, server_id: UUID) -> ServerSetting | None:
        return self.servers.get(server_id)

    async def store(self, store_id: str) -> StoreSetting | None:
        return self.stores.get(store_id)

    async def backup(self, backup_id: UUID) -> Archived | None:
        return self.backups.get(backup_id)

    async def chain(self, chain_id: UUID) -> Sequence[Archived]:
        return [one for one in reversed(self.backups.values()) if one.chain_id == chain_id]

    async def newest_chain(self, _database_id: UUID, store_id: str) -> Sequence[Archived]:
        for one in reversed(self.backups.values()):
            if one.store_id == store_id and one.chain_id is not None:
                return await self.chain(one.chain_id)
        return []

    async def need(
        self,
        server: ServerSetting,
        stores: Sequence[StoreSetting],
        database_id: UUID,
        kind: BackupType,
    ) -> Need:
        return self.needs.get(database_id, Need())

    async def platform(self) -> PlatformSetting | None:
        return self._platform

    async def checkpoint(self) -> str:
        return "the newest checkpoint"

    async def is_checkpointed(self, seq: int) -> bool:
        return seq <= self.checkpointed_seq


def _fold(runs: dict[UUID, Run], delivery: Delivery) -> None:
    message = delivery.message
    if isinstance(message, Request):
        runs[message.run_id] = _requested(message, delivery.seq)
    elif isinstance(message, ENDINGS):
        runs.pop(message.run_id, None)
    elif isinstance(message, CHANGES) and (run := runs.get(message.run_id)) is not None:
        runs[message.run_id] = msgspec.structs.replace(run, **_change(message))


def _change(message: Any) -> dict[str, Any]:
    match message:
        case RunDispatched():
            return {"status": "dispatched", "dispatched_at": message.at}
        case RunCancelRequested():
            return {"cancel_requested": True}
        case _:
            return {"status": "running", "attempts": message.attempt}


def _requested(request: Request, seq: int) -> Run:
    match request:
        case BackupRequested():
            kind, object_id, server_id = "backup", request.backup_id, request.database.server_id
        case RestoreRequested():
            kind, object_id, server_id = "restore", request.restore_id, request.target.server_id
        case ExecutionRequested():
            kind, object_id, server_id = "command", request.execution_id, request.server_id
        case ServerTestRequested():
            kind, object_id, server_id = "test", request.server_id, request.server_id
        case ServerDiscoveryRequested():
            kind, object_id, server_id = "discovery", request.server_id, request.server_id
    return Run(
        run_id=request.run_id,
        kind=kind,
        object_id=object_id,
        server_id=server_id,
        store_id=getattr(request, "store_id", None),
        pool=request.run_pool,
        requested_seq=seq,
        status="requested",
        attempts=0,
        cancel_requested=False,
        dispatched_at=None,
    )
