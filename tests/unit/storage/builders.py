"""Archives in real stores, the facts about them, and a catalogue folded from those facts."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from services.storage.catalogue import Level, Verification
from services.storage.copies import Copy, Standing
from services.storage.garbage import Attempt
from services.storage.kept import Kept, Place
from services.storage.tiers import Moving
from shared.archive.keys import SigningKey, WorkerIdentity, certify
from shared.archive.manifest import About, Body, ObjectRecord, sign_manifest
from shared.bus import Bus
from shared.bus.base import EVENTS
from shared.bus.memory import MemoryBus
from shared.messages.base import now
from shared.messages.facts import (
    BackupAttempted,
    BackupCancelled,
    BackupCompleted,
    BackupCorrupted,
    BackupDeleted,
    BackupDeleteRequested,
    BackupExpired,
    BackupFailed,
    BackupGarbageDeleted,
    BackupHeld,
    BackupReleased,
    BackupRequested,
    BackupVerified,
    BackupVerifyFailed,
    BackupVerifyRequested,
)
from shared.messages.facts.backups import BackupFact
from shared.messages.settings import StoreSetting
from shared.messages.values import (
    ArchiveFacts,
    DatabaseRef,
    Hold,
    HoldKind,
    Problem,
    StoredObject,
)
from shared.stores import Store
from shared.stores.local import Local
from shared.stores.marker import MARKERS
from tests.support.archives import archive_facts

RUN = UUID(int=1)
PLATFORM = SigningKey.generate()
WORKER = SigningKey.generate()
CERTIFICATE = certify(PLATFORM, pool="core", public_key=WORKER.public, issued_at=now())
IDENTITY = WorkerIdentity(key=WORKER, certificate=CERTIFICATE)


class OneStore:
    """Opens one store by its id; None for any other. `down` is raised instead, if set."""

    def __init__(self, store: Store, store_id: str = "s1") -> None:
        self.store, self.store_id = store, store_id
        self.down: Exception | None = None

    async def open(self, store_id: str) -> Store | None:
        if self.down is not None:
            raise self.down
        return self.store if store_id == self.store_id else None


class Said:
    """Says the facts of one backup."""

    SERVER = UUID(int=2)

    def __init__(
        self,
        bus: Bus,
        store_id: str = "s1",
        backup_id: UUID | None = None,
        *,
        further: Sequence[str] = (),
    ) -> None:
        self._bus, self._store_id, self._further = bus, store_id, list(further)
        self.id = backup_id or uuid4()

    async def requested(self) -> None:
        database = DatabaseRef(server_id=self.SERVER, endpoint="main", name="shop")
        await self._bus.append(
            BackupRequested(
                backup_id=self.id,
                run_id=RUN,
                database=database,
                store_id=self._store_id,
                run_pool="core",
                further_store_ids=self._further,
            )
        )

    async def attempted(self, number: int) -> None:
        await self._bus.append(
            BackupAttempted(
                backup_id=self.id,
                run_id=RUN,
                attempt=number,
                worker="w",
                store_id=self._store_id,
                prefix=f"{self.id}/{number}",
            )
        )

    async def completed(self, number: int, archive: ArchiveFacts) -> None:
        await self._bus.append(
            BackupCompleted(
                backup_id=self.id,
                run_id=RUN,
                attempt=number,
                prefix=f"{self.id}/{number}",
                started_at=now(),
                seconds=1.0,
                archive=archive,
            )
        )

    async def failed(self, number: int) -> None:
        problem = Problem(code="tool.failed", cause="the dump tool failed")
        await self._bus.append(
            BackupFailed(backup_id=self.id, run_id=RUN, attempt=number, problem=problem)
        )

    async def cancelled(self, number: int) -> None:
        await self._bus.append(BackupCancelled(backup_id=self.id, run_id=RUN, attempt=number))

    async def expired(self) -> None:
        await self._bus.append(BackupExpired(backup_id=self.id, reason="policy"))

    async def held(self, until: datetime | None = None) -> None:
        hold = Hold(kind=HoldKind.HOLD, reason="tax", until=until, actor="ada", at=now())
        await self._bus.append(
            BackupHeld(backup_id=self.id, kind=hold.kind, reason="tax", until=until, holds=[hold])
        )

    async def released(self) -> None:
        await self._bus.append(
            BackupReleased(backup_id=self.id, kind=HoldKind.HOLD, reason="done", holds=[])
        )

    async def delete_requested(self) -> None:
        await self._bus.append(BackupDeleteRequested(backup_id=self.id))


async def say_store(bus: Bus, root: str, store_id: str = "s1") -> None:
    await bus.append(
        StoreSetting(key=store_id, name=store_id, store={"kind": "local", "root": root})
    )


async def put(store: Store, key: str, content: bytes) -> int:
    async def once() -> AsyncIterator[bytes]:
        yield content

    return (await store.put(key, once())).size


async def write_archive(store: Store, backup_id: UUID, number: int) -> ArchiveFacts:
    """The objects of an archive, as far as storage looks at them."""
    contents = {"data.0": b"\x89HFB" * 5000, "index": b"i" * 700, "log": b"l" * 90}
    records = [
        ObjectRecord(name=name, size=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in contents.items()
    ]
    body = Body(
        backup_id=str(backup_id),
        attempt=str(number),
        about=About(engine="postgresql", method="logical"),
        objects=tuple(records),
    )
    contents["envelope.1"] = b"e" * 300
    contents["manifest"] = sign_manifest(body, IDENTITY).encode()
    for name, content in contents.items():
        await put(store, f"{backup_id}/{number}/{name}", content)
    objects = [
        StoredObject(name=name, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        for name, content in contents.items()
    ]
    return archive_facts(
        stored_bytes=sum(one.size_bytes for one in objects),
        manifest_sha256=objects[-1].sha256,
        objects=objects,
    )


async def names(store: Store, prefix: str = "") -> set[str]:
    """Everything in the store but its marker."""
    keys = [info.key async for info in store.list(prefix)]
    return {key for key in keys if not key.startswith(f"{MARKERS}/")}


class Folded:
    """The catalogue as the facts on a memory bus say it; always up to date.

    `checkpoint`: the last audited event; None follows the log. `kept`: what policies keep again.
    """

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self.checkpoint: int | None = None
        self.kept: set[UUID] = set()

    async def position(self) -> int:
        return (await self._bus.state(EVENTS)).last_seq

    async def at_least(self, seq: int) -> None:
        assert seq <= await self.position()

    async def store_ids(self) -> list[str]:
        found = [one.message for one in await self._bus.last_of("cfg.store.*")]
        return [one.key for one in found if isinstance(one, StoreSetting)]

    async def group_levels(self) -> dict[str, Level]:
        return {}

    async def level(self, store_id: str) -> Level:
        setting = (await self._bus.last_of(f"cfg.store.{store_id}"))[-1].message
        assert isinstance(setting, StoreSetting)
        ended = [one for one in self._facts() if isinstance(one, BackupCompleted)]
        stand = await self.standing(store_id)
        stored = sum(one.archive.stored_bytes for one in ended if one.backup_id in stand)
        return Level(stored_bytes=stored, quota_bytes=setting.quota_bytes)

    async def audited(self) -> int:
        return self.checkpoint if self.checkpoint is not None else await self.position()

    async def standing(self, store_id: str) -> set[UUID]:
        ended = {one.backup_id for one in self._facts() if isinstance(one, BackupCompleted)}
        gone = {one.backup_id for one in self._facts() if isinstance(one, BackupDeleted)}
        return ({*self._ids(store_id)} & ended) - gone

    async def corrupt(self, store_id: str) -> list[UUID]:
        return [one for one in self._ids(store_id) if self._status(one) == "corrupt"]

    async def unproven(self, store_id: str) -> list[UUID]:
        return [one for one in self._ids(store_id) if self._status(one) == "completed"]

    async def to_verify(self, store_id: str) -> list[Verification]:
        asked = [one for one in self._facts() if isinstance(one, BackupVerifyRequested)]
        kinds = (BackupVerified, BackupCorrupted, BackupVerifyFailed)
        ended = {one.run_id for one in self._facts() if isinstance(one, kinds)}
        return [
            Verification(run_id=one.run_id, backup_id=one.backup_id)
            for one in asked
            if one.run_id not in ended
        ]

    async def unwanted(self, store_id: str) -> list[UUID]:
        return [one for one in self._ids(store_id) if self._status(one) in {"expired", "deleting"}]

    async def kept_again(self, backup_ids: Collection[UUID]) -> set[UUID]:
        return self.kept

    async def looked_for(self, store_id: str, now: datetime, again: timedelta) -> list[Attempt]:
        return [one for backup_id in self._ids(store_id) for one in self._attempts(backup_id)]

    async def attempts_of(self, store_id: str, backup_ids: Collection[UUID]) -> list[Attempt]:
        known = {*self._ids(store_id)} & {*backup_ids}
        return [one for backup_id in sorted(known) for one in self._attempts(backup_id)]

    def _facts(self, backup_id: UUID | None = None) -> list[BackupFact]:
        messages = [one.message for one in self._bus.server.stream(EVENTS).messages]
        facts = [one for one in messages if isinstance(one, BackupFact)]
        return [one for one in facts if backup_id in (None, one.backup_id)]

    def _ids(self, store_id: str) -> list[UUID]:
        requests = [one for one in self._facts() if isinstance(one, BackupRequested)]
        return [one.backup_id for one in requests if one.store_id == store_id]

    def _status(self, backup_id: UUID) -> str:
        status = "requested"
        for fact in self._facts(backup_id):
            match fact:
                case BackupAttempted():
                    status = "running"
                case BackupCompleted():
                    status = "completed"
                case BackupFailed():
                    status = "failed"
                case BackupCancelled():
                    status = "cancelled"
                case BackupExpired():
                    status = "expired"
                case BackupDeleteRequested():
                    status = "deleting"
                case BackupDeleted():
                    status = "deleted"
                case BackupVerified() if status in {"completed", "corrupt"}:
                    status = "verified"
                case BackupCorrupted() if status == "completed":
                    status = "corrupt"
        return status

    def _attempts(self, backup_id: UUID) -> list[Attempt]:
        facts = self._facts(backup_id)
        attempted = [one for one in facts if isinstance(one, BackupAttempted)]
        cleared = {one.attempt: one.at for one in facts if isinstance(one, BackupGarbageDeleted)}
        ends = (BackupCompleted, BackupFailed, BackupCancelled)
        return [
            Attempt(
                backup_id=backup_id,
                number=one.attempt,
                prefix=one.prefix,
                status=_plain(self._status(backup_id)),
                latest=max(other.attempt for other in attempted),
                archived=any(isinstance(fact, BackupCompleted) for fact in facts),
                ended_at=next((fact.at for fact in facts if isinstance(fact, ends)), None),
                deleted_at=cleared.get(one.attempt),
            )
            for one in attempted
        ]


class NoCopies:
    """Nothing stands in a further store, and nothing is to."""

    async def not_asked_for(self, store_id: str) -> list[UUID]:
        return []

    async def wanted(self, store_id: str) -> list[Copy]:
        return []

    async def unwanted(self, store_id: str) -> list[Standing]:
        return []

    async def folders(self, store_id: str, backup_ids: Collection[UUID]) -> set[UUID]:
        return set()


class NoTiers:
    """Nothing moves."""

    async def chains(self, store_id: str, at: datetime) -> Sequence[Sequence[Moving]]:
        return []


class NothingKept:
    """Nothing is to be scrubbed."""

    async def after(self, store_id: str, place: Place | None, limit: int) -> Sequence[Kept]:
        return []


def _plain(status: str) -> str:
    return "completed" if status in {"verified", "corrupt"} else status


def local(root: object) -> Local:
    return Local(root=str(root))
