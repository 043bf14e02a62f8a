"""kill -9 of what holds the keys, while every archive is sealed to a new one: nothing is lost."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

import msgspec
import pytest

from shared.archive.errors import NoKeyError
from shared.archive.keys import Recipient, RecipientKey
from shared.archive.reader import open_envelope
from shared.bus.base import Draft
from shared.keys.reading import read_key_encryption_keys, read_recipient
from shared.messages.base import now
from shared.messages.facts import (
    ArchiveReplicated,
    ArchiveRewrapped,
    BackupAttempted,
    BackupCompleted,
    BackupRequested,
    BackupRewrapped,
    KeyRetired,
    KeyRewrapped,
    KeyRotated,
)
from shared.messages.values import DatabaseRef
from tests.support.archives import archive_facts, local, make_plan, text, write
from tests.support.evidence import Evidence
from tests.support.platform import Installed, installed
from tests.support.s3 import BUCKET, rclone_s3
from tests.support.waiting import eventually

SERVICES = ("auditor", "gateway", "scheduler", "storage")
SETTINGS = {"STORAGE_LOOK_EVERY_S": "1"}
AT_ONCE = 8
ROTATE = (sys.executable, "-m", "services.cli.main", "key", "rotate", "--kind", "master")
PATIENCE_S = 600.0


async def archived(  # noqa: PLR0917 - what is written, and where
    house: Installed,
    store_id: str,
    root: Path,
    count: int,
    recipients: tuple[Recipient, ...],
    further: Sequence[str] = (),
) -> list[UUID]:
    """So many backups that the log knows of, each with its archive in the store."""
    ids, server_id = [uuid4() for _ in range(count)], uuid4()
    database = DatabaseRef(server_id=server_id, endpoint="main", name="shop")
    room = asyncio.Semaphore(AT_ONCE)
    async with house.bus() as bus:

        async def one(number: int, backup_id: UUID) -> None:
            about = {"backup_id": backup_id, "run_id": uuid4()}
            prefix = f"{backup_id}/1"
            plan = make_plan(backup_id=str(backup_id), attempt="1", recipients=recipients)
            async with room:
                receipt = await write(local(root), text(3000, seed=number), plan)
                where = {"store_id": store_id, "prefix": prefix}
                facts = (  # all at once, so that the scheduler never sees it as something to do
                    BackupRequested(
                        **about,
                        database=database,
                        store_id=store_id,
                        run_pool="core",
                        further_store_ids=[*further],
                    ),
                    BackupAttempted(**about, **where, attempt=1, worker="test"),
                    BackupCompleted(
                        **about,
                        attempt=1,
                        prefix=prefix,
                        started_at=now(),
                        seconds=1.0,
                        archive=archive_facts(
                            raw_bytes=3000,
                            stored_bytes=receipt.stored_bytes,
                            manifest_sha256=receipt.manifest_sha256,
                            recipients=[one.id for one in recipients],
                        ),
                    ),
                )
                await bus.append_all([Draft(fact) for fact in facts])

        await asyncio.gather(*(one(number, id_) for number, id_ in enumerate(ids)))
    return ids


def immutable(root: Path, ids: Iterable[UUID]) -> dict[str, str]:
    """The SHA-256 of every object but the envelopes."""
    return {
        f"{path.parent.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for backup_id in ids
        for path in sorted((root / str(backup_id) / "1").iterdir())
        if not path.name.startswith("envelope.")
    }


async def rotated(house: Installed) -> None:
    """The command line, on the machine of the platform."""
    environment = {"PATH": os.environ["PATH"], "HOLDFAST_HOME": str(house.home.root)}
    process = await asyncio.create_subprocess_exec(*ROTATE, env=environment)
    assert await process.wait() == 0


async def remaining(house: Installed) -> int:
    found: int = (await house.api.get("/keys/master"))["remaining"]
    return found


def fewer_than(house: Installed, count: int) -> Callable[[], Awaitable[bool]]:
    async def enough() -> bool:
        return await remaining(house) < count

    return enough


async def kill(house: Installed, name: str) -> None:
    """SIGKILL, and wait for the next process."""
    victim = house.platform.children[name]
    victim.kill()
    await eventually(
        lambda: house.platform.children[name].pid != victim.pid, within=60, what=f"{name} again"
    )


async def is_over(house: Installed) -> bool:
    """Whether nothing is sealed to an older key, and the older key is gone."""
    keys = read_key_encryption_keys(house.platform.installation.keys.kek)
    return len(keys) == 1 and (await house.api.get("/keys/master"))["finished_at"] is not None


async def faults_of(
    house: Installed, root: Path, ids: list[UUID], before: dict[str, str], old: RecipientKey
) -> list[str]:
    """What is not as it should be after a rotation."""
    after = immutable(root, ids)
    faults = [f"{name} changed" for name in before if after.get(name) != before[name]]
    faults += [f"{name} was left behind" for name in sorted(after.keys() - before.keys())]
    (new,) = read_key_encryption_keys(house.platform.installation.keys.kek)
    for backup_id in ids:
        names = [path.name for path in (root / str(backup_id) / "1").glob("envelope.*")]
        if names != ["envelope.2"]:
            faults.append(f"{backup_id} has {names}")
        await open_envelope(local(root), f"{backup_id}/1", new)
        try:
            await open_envelope(local(root), f"{backup_id}/1", old)
            faults.append(f"{backup_id} opens with the old key")
        except NoKeyError:
            pass
    said = [one.message for one in await house.messages()]
    told = Counter(one.backup_id for one in said if isinstance(one, BackupRewrapped))
    faults += [f"{id_} was rewrapped {told[id_]} times" for id_ in ids if told[id_] != 1]
    for kind, key_id in ((KeyRotated, "master"), (KeyRewrapped, "master")):
        if [one.key_id for one in said if isinstance(one, kind)] != [key_id]:
            faults.append(f"{kind.__name__} was not said once")
    if [one.key_id for one in said if isinstance(one, KeyRetired)] != [old.public.id]:
        faults.append("the old key was not retired once")
    return faults


async def rotation(folder: Path, count: int, kills: int, random: Random) -> list[str]:
    """Seal so many archives to a new key under so many kills; the faults found."""
    async with installed(folder, services=SERVICES, settings=SETTINGS) as house:
        store_id, root = await house.local_store("kept")
        keys = house.platform.installation.keys
        (old,) = read_key_encryption_keys(keys.kek)
        recipients = (old.public, read_recipient(keys.recovery_recipient))
        ids = await archived(house, store_id, root, count, recipients)
        before = immutable(root, ids)

        await rotated(house)
        for number in range(kills):
            left = count - (count * number + random.randrange(count)) // (kills + 1)
            await eventually(fewer_than(house, left), within=PATIENCE_S)
            await kill(house, "scheduler")
            if number % 2:
                await kill(house, "storage")
        await eventually(lambda: is_over(house), within=PATIENCE_S, what="the rotation ends")

        async def tidy() -> bool:
            objects = len(before) // count + 1  # and nothing that a killed scheduler left half
            return all(len([*(root / str(one) / "1").iterdir()]) == objects for one in ids)

        await eventually(tidy, within=PATIENCE_S, what="older envelopes go")
        return await faults_of(house, root, ids, before, old)


@pytest.mark.timeout(400)
async def test_an_interrupted_rotation_is_finished_and_changes_no_data(
    tmp_path: Path, seed: int
) -> None:
    assert await rotation(tmp_path, 24, 1, Random(seed)) == []


@pytest.mark.timeout(400)
async def test_copies_in_a_bucket_are_sealed_anew_as_what_they_are_copies_of(
    tmp_path: Path,
) -> None:
    count = 6
    with rclone_s3(tmp_path / "buckets") as service:
        bucket, far = service.store("far"), tmp_path / "buckets" / BUCKET / "far"
        async with installed(tmp_path / "p", services=SERVICES, settings=SETTINGS) as house:
            store_id, root = await house.local_store("kept")
            body = {"name": "far", "store": msgspec.to_builtins(bucket)}
            far_id = (await house.api.post("/stores", body))["id"]
            keys = house.platform.installation.keys
            (old,) = read_key_encryption_keys(keys.kek)
            recipients = (old.public, read_recipient(keys.recovery_recipient))
            ids = await archived(house, store_id, root, count, recipients, [far_id])

            async def copied() -> bool:
                said = [one.message for one in await house.messages()]
                return len([one for one in said if isinstance(one, ArchiveReplicated)]) == count

            await eventually(copied, within=60, what="the copies stand")
            before, before_far = immutable(root, ids), immutable(far, ids)
            assert before == before_far

            await rotated(house)
            await eventually(fewer_than(house, 2 * count), within=PATIENCE_S)
            await kill(house, "scheduler")
            await eventually(lambda: is_over(house), within=PATIENCE_S, what="the rotation ends")

            async def tidy() -> bool:
                return all(
                    [path.name for path in (place / str(one) / "1").glob("envelope.*")]
                    == ["envelope.2"]
                    for one in ids
                    for place in (root, far)
                )

            await eventually(tidy, within=60, what="older envelopes go")
            assert await faults_of(house, root, ids, before, old) == []
            assert immutable(far, ids) == before_far
            (new,) = read_key_encryption_keys(keys.kek)
            for backup_id in ids:
                await open_envelope(bucket, f"{backup_id}/1", new)
                with pytest.raises(NoKeyError):
                    await open_envelope(bucket, f"{backup_id}/1", old)
            said = [one.message for one in await house.messages()]
            told = [one for one in said if isinstance(one, ArchiveRewrapped)]
            assert {(one.backup_id, one.store_id) for one in told} == {(one, far_id) for one in ids}
            assert len(told) == count


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_a_thousand_envelopes_under_five_kills(tmp_path: Path, seed: int) -> None:
    count, kills = int(os.environ.get("CHAOS_ROUNDS") or 1000), 5
    evidence = Evidence("key-rotation", seed, count, "tests/chaos/test_rotation.py")
    evidence.count("envelopes", count)
    evidence.count("kill -9 of the scheduler", kills)
    evidence.count("kill -9 of storage", kills // 2)
    evidence.failures += await rotation(tmp_path, count, kills, Random(seed))
    evidence.write()
    assert evidence.failures == []
