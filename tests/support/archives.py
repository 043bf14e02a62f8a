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
from services.executor.sifting import Parent
from shared.archive.chain import Chain, Link
from shared.archive.chain_reader import read_dump
from shared.archive.cut import CutParameters
from shared.archive.keys import RecipientKey, SigningKey, Trust, WorkerIdentity, certify
from shared.archive.manifest import About
from shared.archive.matching import Matcher
from shared.archive.reader import open_envelope, read_archive
from shared.messages.base import now
from shared.messages.values import ArchiveFacts
from shared.stores import Local, Store

SMALL = CutParameters(minimum=64, average=256, maximum=1024)
"""Chunks so small that a few kilobytes have many."""
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


async def links_of(store: Store, *backups: str) -> list[Link]:
    """Archives by their backups' names, the newest first, with their keys."""
    return [
        Link(
            store=store,
            prefix=f"{backup}/attempt1",
            archive_key=await open_envelope(store, f"{backup}/attempt1", RECIPIENT),
        )
        for backup in backups
    ]


async def write_increment(
    store: Store, raw: bytes, plan: ArchivePlan, *builds_on: str, matcher: Matcher | None = None
) -> ArchiveReceipt:
    """An archive of `raw` that stores only what the backups `builds_on`, newest first, lack."""
    links = await links_of(store, *builds_on)
    parent = Parent(await Chain.open(links, TRUST), matcher)
    about = msgspec.structs.replace(plan.about, type="incremental", parent=links[0].name)
    try:
        return await write(store, raw, msgspec.structs.replace(plan, about=about), parent=parent)
    finally:
        await parent.close()


async def read_increment(store: Store, *backups: str) -> bytes:
    """The dump of the first backup; the others are those that it builds on."""
    dump = read_dump(await links_of(store, *backups), TRUST)
    return b"".join([piece async for piece in dump])


async def write_chain(folder: Path, increments: int, **changes: Any) -> tuple[bytes, list[str]]:
    """A full `b0` and so many increments, each on the one before: the newest's dump, and all the
    names, the newest first."""
    store, raw, chance = local(folder), text(40_000), random.Random(6)
    plan = make_plan(cut=SMALL, frame_bytes=4_000, **changes)
    await write(store, raw, msgspec.structs.replace(plan, backup_id="b0"))
    names = ["b0"]
    for number in range(1, increments + 1):
        at = chance.randrange(len(raw))
        raw = raw[:at] + chance.randbytes(300) + raw[at + 150 :]
        await write_increment(
            store, raw, msgspec.structs.replace(plan, backup_id=f"b{number}"), *names
        )
        names.insert(0, f"b{number}")
    return raw, names


def archive_facts(**told: Any) -> ArchiveFacts:
    """What a worker tells of an archive: small, of now, and with `told` in place of that."""
    some = ArchiveFacts(
        raw_bytes=1,
        stored_bytes=1,
        manifest_sha256="ab" * 32,
        codec="zstd",
        tool="pg_dump",
        tool_version="16",
        server_version="16",
        taken_at=now(),
    )
    return msgspec.structs.replace(some, **told)
