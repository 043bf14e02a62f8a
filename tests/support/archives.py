"""Archives for tests: keys, plans, sources, and a quick way to write and read one."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from services.executor.pipeline import write_archive
from services.executor.plan import ArchivePlan, ArchiveReceipt
from shared.archive.keys import RecipientKey, SigningKey, Trust, WorkerIdentity, certify
from shared.archive.manifest import About
from shared.archive.reader import open_envelope, read_archive
from shared.stores import Local, Store

PLATFORM = SigningKey(bytes(range(32)))
WORKER = SigningKey(bytes(range(1, 33)))
RECIPIENT = RecipientKey(bytes(range(2, 34)))
RECOVERY = RecipientKey(bytes(range(3, 35)))
TRUST = Trust.of(PLATFORM.public)
IDENTITY = WorkerIdentity(
    key=WORKER,
    certificate=certify(
        PLATFORM,
        pool="core",
        public_key=WORKER.public,
        issued_at=datetime(2026, 1, 1, tzinfo=UTC),
    ),
)


def make_plan(**changes: Any) -> ArchivePlan:
    """A plan of small frames and the keys above."""
    plan = ArchivePlan(
        backup_id="backup1",
        attempt="attempt1",
        about=About(engine="postgresql", method="logical", tool="pg_dump", tool_version="16.4"),
        recipients=(RECIPIENT.public, RECOVERY.public),
        worker=IDENTITY,
    )
    return msgspec.structs.replace(plan, **changes)


def text(size: int, seed: int = 0) -> bytes:
    """Bytes that compress about as a dump does."""
    chance = random.Random(seed)
    words = [chance.randbytes(8).hex() for _ in range(200)]
    lines = (" ".join(chance.choices(words, k=9)) + "\n" for _ in range(size // 100 + 1))
    return "".join(lines).encode()[:size]


async def stream(data: bytes, piece: int = 65_536) -> AsyncIterator[bytes]:
    """The bytes as a pipe gives them."""
    for at in range(0, len(data), piece):
        yield data[at : at + piece]


async def ended_well() -> None:
    """A dump tool that exited 0."""


async def write(
    store: Store, raw: bytes, plan: ArchivePlan | None = None, **other: Any
) -> ArchiveReceipt:
    """One archive of `raw`."""
    return await write_archive(
        stream(raw),
        ended=ended_well,
        plan=plan or make_plan(),
        store=store,
        log=stream(b"the log of this run\n"),
        **other,
    )


async def read(
    store: Store, prefix: str = "backup1/attempt1", key: RecipientKey = RECIPIENT
) -> bytes:
    """The dump that the archive gives back."""
    archive_key = await open_envelope(store, prefix, key)
    opened = read_archive(store, prefix, archive_key=archive_key, trusted=TRUST)
    return b"".join([piece async for piece in opened])


def local(folder: Path) -> Local:
    """A store in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    return Local(root=str(folder))
