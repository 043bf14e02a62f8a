"""A restore: an archive from a store through the engine into a new database, and its check."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from services.executor.engines.base import Bytes, Restored, Target
from services.executor.orders import BadSettingsError, DataOrder, open_data_order
from services.executor.plan import Progress
from services.executor.progress import RunLog
from services.executor.runners.base import Workplace
from services.executor.runs import Completion, Worker
from shared.archive.errors import ObjectChangedError
from shared.archive.keys import Trust
from shared.archive.objects import read_small
from shared.archive.reader import read_archive
from shared.errors import InvalidInputError
from shared.faults import Point
from shared.messages.base import Fact, consequence
from shared.messages.facts import (
    RestoreAttempted,
    RestoreCancelled,
    RestoreCompleted,
    RestoreFailed,
)
from shared.messages.orders import RunRestore
from shared.messages.values import Problem
from shared.stores import Store

_Fact = TypeVar("_Fact", RestoreAttempted, RestoreCompleted, RestoreFailed, RestoreCancelled)


class RestoreTools(msgspec.Struct, frozen=True, kw_only=True):
    """What every restore of this process uses."""

    worker: Worker
    workplace: Workplace
    point: Point


class RestoreWork:
    """See `Work`."""

    about = "restore"

    def __init__(self, order: RunRestore, tools: RestoreTools) -> None:
        self.order, self._tools = order, tools
        self.aggregate = order.restore_id
        self._target = Target(
            database=order.target, restore_id=order.restore_id, tables=order.tables
        )

    def attempted(self, attempt: int) -> Fact:
        """Its id is new each time: two workers must never take one fact for their own."""
        worker = self._tools.worker.name
        return self._fact(RestoreAttempted, self.order.id, attempt, id=uuid7(), worker=worker)

    async def perform(self, attempt: int, log: RunLog) -> Completion:
        opened = open_data_order(self.order, self._tools.worker.order_key)
        log.hide(opened.secrets)
        log.line("info", f"attempt {attempt} of restore {self.order.restore_id} begins")
        began = time.monotonic()
        return self._completion(await self._restore(opened, log), began)

    def _completion(self, restored: Restored, began: float) -> Completion:
        seconds = round(time.monotonic() - began, 3)

        def completed(cause: UUID, number: int) -> Fact:
            return self._fact(
                RestoreCompleted,
                cause,
                number,
                id=consequence(cause, "completed"),
                seconds=seconds,
                raw_bytes=restored.raw_bytes,
                tables=restored.tables,
            )

        return completed

    def failed(self, cause: UUID, attempt: int, problem: Problem) -> Fact:
        said = consequence(cause, "failed")
        return self._fact(RestoreFailed, cause, attempt, id=said, problem=problem)

    def cancelled(self, cause: UUID, attempt: int) -> Fact:
        return self._fact(RestoreCancelled, cause, attempt, id=consequence(cause, "cancelled"))

    async def settle(self) -> Completion | None:
        """Drop what an attempt began in the target server, unless it finished the target."""
        began = time.monotonic()
        opened = open_data_order(self.order, self._tools.worker.order_key)
        async with opened.runner.session(self._tools.workplace) as session:
            finished = await opened.engine.undo_restore(session, self._target)
        return self._completion(finished, began) if finished else None

    async def _restore(self, opened: DataOrder, log: RunLog) -> Restored:
        if opened.archive_key is None:
            raise BadSettingsError("the order holds no key of the archive")
        await self._require_same_manifest(opened.store)
        archive = read_archive(
            opened.store,
            self.order.prefix,
            archive_key=opened.archive_key,
            trusted=_trust(self.order.trusted),
        )
        async with (
            opened.runner.session(self._tools.workplace) as session,
            aclosing(archive),
            aclosing(_told(archive, log)) as source,
        ):
            await self._tools.point("restore-started")
            restored = await opened.engine.restore(session, self._target, source, on_line=log.tool)
        await self._tools.point("restored")
        return restored

    async def _require_same_manifest(self, store: Store) -> None:
        """The log says which archive it was: an older or other one, however genuine, is not it."""
        manifest = await read_small(store, f"{self.order.prefix}/manifest")
        if hashlib.sha256(manifest).hexdigest() != self.order.manifest_sha256:
            raise ObjectChangedError("the manifest is not the one that was written for this backup")

    def _fact(self, kind: type[_Fact], cause: UUID, attempt: int, **fields: Any) -> _Fact:
        return kind(
            pool=self.order.pool,
            actor="service:executor",
            caused_by=cause,
            request_id=self.order.request_id,
            restore_id=self.order.restore_id,
            run_id=self.order.run_id,
            attempt=attempt,
            **fields,
        )


async def _told(archive: Bytes, log: RunLog) -> AsyncGenerator[bytes, None]:
    """The same bytes; the run's progress hears of each piece."""
    raw_bytes = 0
    async for piece in archive:
        raw_bytes += len(piece)
        log.progress(Progress(stage="restore", raw_bytes=raw_bytes, packed_bytes=0))
        yield piece


def _trust(key: str) -> Trust:
    """A platform's public key in hex, or its fingerprint as printed."""
    if key.startswith("SHA256:"):
        return Trust.of(key)
    try:
        return Trust.of(bytes.fromhex(key))
    except ValueError as error:
        raise InvalidInputError("the order names no platform key to trust") from error
