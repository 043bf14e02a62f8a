"""A backup: the engine's dump through the pipeline into a store."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, TypeVar, cast
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from services.executor.engines.base import Dump
from services.executor.orders import BadSettingsError, DataOrder, open_data_order, trust_of
from services.executor.parents import differs, parent_in
from services.executor.pipeline import write_archive
from services.executor.plan import ArchivePlan, ArchiveReceipt
from services.executor.progress import RunLog
from services.executor.runners.base import Workplace
from services.executor.runs import Completion, Worker
from services.executor.sifting import Parent
from shared.archive.codecs import AnyCodec, codec_named
from shared.archive.keys import Recipient, Trust, WorkerIdentity
from shared.archive.manifest import About
from shared.faults import Point
from shared.messages.base import Fact, consequence, now
from shared.messages.facts import BackupAttempted, BackupCancelled, BackupCompleted, BackupFailed
from shared.messages.orders import RunBackup
from shared.messages.values import (
    ArchiveFacts,
    BackupType,
    Method,
    Problem,
    StoredObject,
)
from shared.stores.reach import require_permitted

_Fact = TypeVar("_Fact", BackupAttempted, BackupCompleted, BackupFailed, BackupCancelled)


class BackupTools(msgspec.Struct, frozen=True, kw_only=True):
    """What every backup of this process uses."""

    worker: Worker
    identity: WorkerIdentity
    workplace: Workplace
    point: Point
    pack_threads: int


class _Made(msgspec.Struct, frozen=True, kw_only=True):
    """An archive that was written: an increment, or a full, and perhaps why it had to be one."""

    receipt: ArchiveReceipt
    increment: bool
    full_because: str


class BackupWork:
    """See `Work`."""

    about = "backup"

    def __init__(self, order: RunBackup, tools: BackupTools) -> None:
        self.order, self._tools = order, tools
        self.aggregate = order.backup_id

    def attempted(self, attempt: int) -> Fact:
        """Its id is new each time: two workers must never take one fact for their own."""
        return self._fact(
            BackupAttempted,
            self.order.id,
            attempt,
            id=uuid7(),
            worker=self._tools.worker.name,
            store_id=self.order.store_id,
            prefix=self._prefix(attempt),
        )

    async def perform(self, attempt: int, log: RunLog) -> Completion:
        self._require_known()
        opened = open_data_order(self.order, self._tools.worker.order_key)
        log.hide(opened.secrets)
        started_at, began = now(), time.monotonic()
        log.line("info", f"attempt {attempt} of backup {self.order.backup_id} begins")
        async with (
            opened.runner.session(self._tools.workplace) as session,
            opened.engine.dump(session, self.order.database, on_line=log.tool) as dump,
        ):
            log.expect(dump.facts.estimated_bytes)
            log.line("info", f"{dump.facts.tool} {dump.facts.tool_version} has begun")
            await self._tools.point("dump-started")
            made = await self._write(attempt, opened, dump, log)
            await self._tools.point("archive-written")
        seconds = round(time.monotonic() - began, 3)
        facts = self._facts(made.receipt, dump)

        def completed(cause: UUID, number: int) -> Fact:
            return self._fact(
                BackupCompleted,
                cause,
                number,
                id=consequence(cause, "completed"),
                prefix=self._prefix(number),
                started_at=started_at,
                seconds=seconds,
                archive=facts,
                type_made=self.order.type_wanted if made.increment else BackupType.FULL,
                chain_id=self.order.chain_id if made.increment else self.order.backup_id,
                parent_id=self.order.chain[0].backup_id if made.increment else None,
                fresh_bytes=made.receipt.fresh_bytes,
                full_because=made.full_because,
            )

        return completed

    def failed(self, cause: UUID, attempt: int, problem: Problem) -> Fact:
        said = consequence(cause, "failed")
        return self._fact(BackupFailed, cause, attempt, id=said, problem=problem)

    def cancelled(self, cause: UUID, attempt: int) -> Fact:
        return self._fact(BackupCancelled, cause, attempt, id=consequence(cause, "cancelled"))

    async def settle(self) -> None:
        """Objects of attempts are the storage service's to delete; none was whole unsaid."""

    async def _write(self, attempt: int, opened: DataOrder, dump: Dump, log: RunLog) -> _Made:
        """An increment of the order's chain where that can be, else a full."""
        here = self._tools.workplace.allow_loopback
        await require_permitted(opened.store, allow_loopback=here)
        why = [self.order.full_because] if self.order.full_because else []
        fits = partial(differs, engine=opened.engine_kind, now=dump.facts)
        links, trusted = opened.chain, trust_of(self.order.trusted) if opened.chain else Trust.of()
        async with parent_in(links, trusted, fits, why.append) as parent:
            for reason in why:
                log.line("warning", f"this becomes a full backup: {reason}")
            receipt = await self._write_with(attempt, opened, dump, log, parent)
        return _Made(receipt=receipt, increment=parent is not None, full_because="; ".join(why))

    async def _write_with(
        self, attempt: int, opened: DataOrder, dump: Dump, log: RunLog, parent: Parent | None
    ) -> ArchiveReceipt:
        return await write_archive(
            dump.output(),
            ended=dump.ended,
            parent=parent,
            plan=ArchivePlan(
                backup_id=str(self.order.backup_id),
                attempt=str(attempt),
                about=self._about_archive(opened, dump, parent),
                database=self.order.database,
                recipients=tuple(Recipient.parse(text) for text in self.order.recipients),
                passphrase=opened.passphrase,
                worker=self._tools.identity,
                checkpoint=self.order.checkpoint,
                codec=cast(AnyCodec, codec_named(self.order.codec)),
                workers=self._tools.pack_threads,
            ),
            store=opened.store,
            log=log.content(),
            on_progress=log.progress,
            point=self._tools.point,
        )

    def _about_archive(self, opened: DataOrder, dump: Dump, parent: Parent | None) -> About:
        chain_id = self.order.chain_id if parent else None
        return About(
            engine=opened.engine_kind,
            method="logical",
            type=self.order.type_wanted.value if parent else "full",
            parent=parent.archives[0] if parent else None,
            tool=dump.facts.tool,
            tool_version=dump.facts.tool_version,
            server_version=dump.facts.server_version,
            database_id=str(self.order.database_id),
            consistency_point=dump.facts.consistency_point,
            identity=dump.facts.identity,
            created_at=dump.facts.taken_at,
            chain=str(chain_id or self.order.backup_id),
        )

    def _facts(self, receipt: ArchiveReceipt, dump: Dump) -> ArchiveFacts:
        return ArchiveFacts(
            raw_bytes=receipt.raw_bytes,
            stored_bytes=receipt.stored_bytes,
            manifest_sha256=receipt.manifest_sha256,
            codec=self.order.codec,
            tool=dump.facts.tool,
            tool_version=dump.facts.tool_version,
            server_version=dump.facts.server_version,
            consistency_point=dump.facts.consistency_point,
            taken_at=dump.facts.taken_at,
            tables=dump.tables,
            objects=[
                StoredObject(name=one.name, size_bytes=one.size, sha256=one.sha256)
                for one in receipt.objects
            ],
            recipients=[Recipient.parse(text).id for text in self.order.recipients],
        )

    def _fact(self, kind: type[_Fact], cause: UUID, attempt: int, **fields: Any) -> _Fact:
        return kind(
            pool=self.order.pool,
            actor="service:executor",
            caused_by=cause,
            request_id=self.order.request_id,
            backup_id=self.order.backup_id,
            run_id=self.order.run_id,
            attempt=attempt,
            **fields,
        )

    def _require_known(self) -> None:
        if self.order.method is not Method.LOGICAL:
            raise BadSettingsError("this executor makes logical backups only")
        if not self.order.recipients:
            raise BadSettingsError("the order names no recipient who could open the archive")

    def _prefix(self, attempt: int) -> str:
        return f"{self.order.backup_id}/{attempt}"
