"""A restore: an archive from a store through the engine into a new database, and its check."""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from services.executor.checks import asked, refused, require_passed
from services.executor.engines.base import Engine, EngineError, Restored, Target
from services.executor.orders import BadSettingsError, DataOrder, open_data_order, trust_of
from services.executor.plan import Progress
from services.executor.progress import RunLog
from services.executor.runners.base import Session, Workplace
from services.executor.runners.local import Local
from services.executor.runs import Completion, Worker
from shared.archive.chain import Link
from shared.archive.chain_reader import read_dump
from shared.archive.errors import ObjectChangedError
from shared.archive.objects import read_small
from shared.faults import Point
from shared.messages.base import Fact, consequence
from shared.messages.facts import (
    RestoreAttempted,
    RestoreCancelled,
    RestoreCompleted,
    RestoreFailed,
)
from shared.messages.orders import RunRestore, RunVerification
from shared.messages.values import CheckResult, Problem
from shared.stores import Store
from shared.stores.reach import require_permitted

_Fact = TypeVar("_Fact", RestoreAttempted, RestoreCompleted, RestoreFailed, RestoreCancelled)


class RestoreTools(msgspec.Struct, frozen=True, kw_only=True):
    """What every restore of this process uses."""

    worker: Worker
    workplace: Workplace
    point: Point


class RestoreWork:
    """See `Work`."""

    about = "restore"

    def __init__(self, order: RunRestore | RunVerification, tools: RestoreTools) -> None:
        self.order, self._tools = order, tools
        self.aggregate = order.restore_id
        self._checks: list[CheckResult] = []
        self._target = Target(
            database=order.target, restore_id=order.restore_id, tables=order.tables
        )

    @property
    def _tested(self) -> UUID | None:
        return self.order.backup_id if self.order.test else None

    @property
    def _verified(self) -> UUID | None:
        """The backup that is only read."""
        return None

    def attempted(self, attempt: int) -> Fact:
        """Its id is new each time: two workers must never take one fact for their own."""
        worker = self._tools.worker.name
        return self._fact(RestoreAttempted, self.order.id, attempt, id=uuid7(), worker=worker)

    async def perform(self, attempt: int, log: RunLog) -> Completion:
        opened = open_data_order(self.order, self._tools.worker.order_key)
        log.hide(opened.secrets)
        log.line("info", f"attempt {attempt} of restore {self.order.restore_id} begins")
        return self._completion(*await self._restore(opened, log))

    def _completion(self, restored: Restored, seconds: float) -> Completion:
        def completed(cause: UUID, number: int) -> Fact:
            return self._fact(
                RestoreCompleted,
                cause,
                number,
                id=consequence(cause, "completed"),
                seconds=round(seconds, 3),
                raw_bytes=restored.raw_bytes,
                tables=restored.tables,
                tested_backup_id=self._tested,
                checks=self._checks,
            )

        return completed

    def failed(self, cause: UUID, attempt: int, problem: Problem) -> Fact:
        said = consequence(cause, "failed")
        return self._fact(
            RestoreFailed,
            cause,
            attempt,
            id=said,
            problem=problem,
            tested_backup_id=self._tested,
            checks=self._checks,
            verified_backup_id=self._verified,
        )

    def cancelled(self, cause: UUID, attempt: int) -> Fact:
        return self._fact(RestoreCancelled, cause, attempt, id=consequence(cause, "cancelled"))

    async def settle(self) -> Completion | None:
        """Drop what an attempt began in the target server, unless it finished the target."""
        if self.order.test:
            return None  # the instance is gone with its session
        began = time.monotonic()
        opened = open_data_order(self.order, self._tools.worker.order_key)
        async with opened.runner.session(self._tools.workplace) as session:
            finished = await opened.engine.undo_restore(session, self._target)
        return self._completion(finished, time.monotonic() - began) if finished else None

    async def _restore(self, opened: DataOrder, log: RunLog) -> tuple[Restored, float]:
        """What stands in the target, and the seconds until it did."""
        began = time.monotonic()
        if opened.archive_key is None:
            raise BadSettingsError("the order holds no key of the archive")
        here = self._tools.workplace.allow_loopback
        for store in (opened.store, *(link.store for link in opened.chain)):
            await require_permitted(store, allow_loopback=here)
        await self._require_same_manifest(opened.store)
        own = Link(
            store=opened.store,
            prefix=self.order.prefix,
            archive_key=opened.archive_key,
            manifest_sha256=self.order.manifest_sha256,
        )
        archive = read_dump([own, *opened.chain], trust_of(self.order.trusted))
        async with (
            self._session(opened) as session,
            self._engine(opened, session, log) as engine,
            aclosing(archive),
            aclosing(_told(archive, log)) as source,
        ):
            await self._tools.point("restore-started")
            restored = await engine.restore(session, self._target, source, on_line=log.tool)
            seconds = time.monotonic() - began
            if self.order.checks:
                await self._check(engine, session, opened, log)
        await self._tools.point("restored")
        return restored, seconds

    async def _check(self, engine: Engine, at: Session, opened: DataOrder, log: RunLog) -> None:
        """Ask the restored database; raises CheckFailedError unless every answer is right."""
        checks = self.order.checks
        try:
            async with engine.questions(at, self.order.target) as questions:
                self._checks = await asked(questions, checks, opened.secrets)
        except EngineError as error:
            self._checks = refused(checks, error)
        for one in self._checks:
            level = "info" if one.passed else "error"
            log.line(level, f"check {one.name}: wanted {one.wanted}, got {one.got}")
        require_passed(self._checks)

    def _session(self, opened: DataOrder) -> AbstractAsyncContextManager[Session]:
        """A test runs on this machine, and on its disk, whatever reaches the backup's server."""
        if not self.order.test:
            return opened.runner.session(self._tools.workplace)
        here = self._tools.workplace
        place = msgspec.structs.replace(here, folder=here.test_folder, allow_loopback=True)
        return Local().session(place)

    def _engine(
        self, opened: DataOrder, at: Session, log: RunLog
    ) -> AbstractAsyncContextManager[Engine]:
        if self.order.test:
            return opened.engine.throw_away(at, self.order.server_version, on_line=log.tool)
        return nullcontext(opened.engine)

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


async def _told(archive: AsyncIterator[bytes], log: RunLog) -> AsyncGenerator[bytes, None]:
    """The same bytes; the run's progress hears of each piece."""
    raw_bytes = 0
    async for piece in archive:
        raw_bytes += len(piece)
        log.progress(Progress(stage="restore", raw_bytes=raw_bytes, packed_bytes=0))
        yield piece
