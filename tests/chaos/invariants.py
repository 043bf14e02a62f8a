"""What must hold after anything: each function returns the faults it finds, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import asyncpg

from shared.bus import Delivery
from shared.messages.facts import (
    BackupAttempted,
    BackupCancelled,
    BackupCompleted,
    BackupDeleted,
    BackupFailed,
    BackupRequested,
    RestoreCancelled,
    RestoreCompleted,
    RestoreFailed,
    RestoreRequested,
)
from shared.messages.wire import AnyMessage
from shared.stores.base import ObjectNotFoundError, Store
from shared.stores.marker import MARKERS
from tests.support.platform import Installed
from tests.support.waiting import eventually

BACKUP_ENDINGS = (BackupCompleted, BackupFailed, BackupCancelled)
RESTORE_ENDINGS = (RestoreCompleted, RestoreFailed, RestoreCancelled)


async def kept_once(house: Installed, acknowledged: Iterable[str]) -> list[str]:
    """I1: what was acknowledged is once in the stream, in event_log and in the audit log.

    All three are compared up to the same event: services go on speaking meanwhile.
    """
    stream = await house.messages()
    last = stream[-1].seq

    async def projected() -> bool:
        found = await house.rows("select seq from checkpoints where name = 'projection'")
        return bool(found) and found[0]["seq"] >= last

    await eventually(projected, within=60, what="the projection catches up")
    kept = await house.rows(
        "select seq, event_id, subject, data from event_log where seq <= $1 order by seq", last
    )
    audited = await house.rows(
        "select seq, event_id from audit_logs where seq <= $1 order by n", last
    )
    in_stream = Counter(one.subject for one in stream)
    once = Counter(row["event_id"] for row in kept)
    return [
        *(
            f"{subject} is {in_stream[subject]} times in the stream"
            for subject in acknowledged
            if in_stream[subject] != 1
        ),
        *(
            f"event {event} is {count} times in event_log"
            for event, count in once.items()
            if count != 1
        ),
        *([] if _same(stream, kept) else ["event_log is not what the stream is"]),
        *(
            []
            if [(row["seq"], row["event_id"]) for row in kept]
            == [(row["seq"], row["event_id"]) for row in audited]
            else ["the audit log has not one entry for each event"]
        ),
        *(
            []
            if [one.seq for one in stream] == list(range(1, last + 1))
            else ["the stream has holes"]
        ),
    ]


def _same(stream: list[Delivery], kept: list[asyncpg.Record]) -> bool:
    return [(one.seq, one.subject, one.data) for one in stream] == [
        (row["seq"], row["subject"], row["data"]) for row in kept
    ]


def ended_once(said: list[AnyMessage]) -> list[str]:
    """I3, seen from the log: each requested backup and restore has one ending, the last word."""
    faults = []
    for asked, about, endings in (
        (BackupRequested, "backup_id", BACKUP_ENDINGS),
        (RestoreRequested, "restore_id", RESTORE_ENDINGS),
    ):
        for request in (one for one in said if isinstance(one, asked)):
            key = getattr(request, about)
            found = [
                type(one).__name__
                for one in said
                if isinstance(one, endings) and getattr(one, about) == key
            ]
            if len(found) != 1:
                faults.append(f"{asked.__name__} {key} ended {len(found)} times: {found}")
    return faults


def endings(said: list[AnyMessage]) -> Counter[str]:
    """How often backups and restores ended, and how."""
    ends = BACKUP_ENDINGS + RESTORE_ENDINGS
    return Counter(type(one).__name__ for one in said if isinstance(one, ends))


async def nothing_runs(house: Installed) -> list[str]:
    """I3, seen from the read model: no run is under way."""
    rows = await house.rows("select id, kind, status from runs where ended_at is null")
    return [f"the {row['kind']} {row['id']} is {row['status']}" for row in rows]


def attempts_in_order(said: list[AnyMessage]) -> list[str]:
    """The attempts of a backup are 1, 2, ... and only the last one completes."""
    faults = []
    for done in (one for one in said if isinstance(one, BackupCompleted)):
        tried = [
            one.attempt
            for one in said
            if isinstance(one, BackupAttempted) and one.backup_id == done.backup_id
        ]
        if tried != list(range(1, done.attempt + 1)):
            faults.append(f"{done.backup_id}: attempts {tried}, completed {done.attempt}")
    return faults


def completed_in(said: list[AnyMessage], store_id: str) -> list[BackupCompleted]:
    """The completed backups that a store must hold."""
    there = {
        one.backup_id
        for one in said
        if isinstance(one, BackupRequested) and one.store_id == store_id
    } - {one.backup_id for one in said if isinstance(one, BackupDeleted)}
    return [one for one in said if isinstance(one, BackupCompleted) and one.backup_id in there]


async def archives_whole(kept: list[BackupCompleted], store: Store) -> list[str]:
    """I2: every object of a completed backup is there, to the byte."""
    faults = []
    for done in kept:
        hashes = {one.name: one.sha256 for one in done.archive.objects}
        hashes["manifest"] = done.archive.manifest_sha256
        for name, expected in hashes.items():
            if await _hash(store, f"{done.prefix}/{name}") != expected:
                faults.append(f"{done.prefix}/{name} is not what was completed")
    return faults


async def _hash(store: Store, key: str) -> str:
    found = sha256()
    try:
        async for chunk in store.get(key):
            found.update(chunk)
    except ObjectNotFoundError:
        return "missing"
    return found.hexdigest()


async def strangers(kept: list[BackupCompleted], store: Store) -> list[str]:
    """I4: the objects that belong to no completed attempt."""
    known = {MARKERS, *(one.prefix for one in kept)}
    return [info.key async for info in store.list("") if info.key.rpartition("/")[0] not in known]


async def unfinished(store: Store) -> list[str]:
    """I4: uploads that nobody will end. To count them is to remove them, so look only once."""
    count = await store.abort_uploads("", timedelta(0))
    return [f"{count} unfinished uploads"] if count else []


def leftovers(kept: list[BackupCompleted], root: Path) -> list[str]:
    """I4 in a folder, by its files: temporary ones, which no store lists, count too."""
    known = {MARKERS, *(one.prefix for one in kept)}
    files = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    return [str(path) for path in files if str(path.parent) not in known]
