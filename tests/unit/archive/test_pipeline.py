"""Archives as a whole: what goes in comes out, and what did not end well leaves nothing."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.executor.packing import Packing
from services.executor.pipeline import write_archive
from services.executor.plan import Progress, no_progress
from shared.archive.codecs import Plain, Zstd
from shared.archive.errors import TruncatedError
from shared.archive.header import Role
from shared.archive.reader import open_envelope, read_log
from shared.archive.sealing import OpeningStream, sealed_size
from shared.errors import InvalidInputError, PlatformError
from shared.faults import no_point
from shared.stores import Local
from tests.support.archives import (
    RECIPIENT,
    RECOVERY,
    TRUST,
    ended_well,
    local,
    make_plan,
    read,
    stream,
    text,
    write,
)

PREFIX = "backup1/attempt1"
MIB = 1 << 20
POINTS = [
    *("data-opened", "first-frame", "mid-data", "mid-data", "data-written", "data-checked"),
    *("index-written", "log-written", "envelope-written", "manifest-written"),
]


class DumpToolError(PlatformError):
    """The tool did not exit 0."""


async def ended_badly() -> None:
    raise DumpToolError("pg_dump was killed")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("codec", [Zstd(), Zstd(level=1), Plain()])
@pytest.mark.parametrize(
    "size", [0, 1, 16_383, 16_384, 16_385, MIB - 1, MIB, MIB + 1, 3 * MIB + 17]
)
async def test_a_dump_of_any_size_comes_back(
    tmp_path: Path, size: int, codec: Plain | Zstd
) -> None:
    store, raw = local(tmp_path), text(size)

    receipt = await write(store, raw, make_plan(codec=codec))

    assert await read(store) == await read(store, key=RECOVERY) == raw
    assert receipt.raw_bytes == size
    folder = tmp_path / PREFIX
    on_disk = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {(one.name, one.size, one.sha256) for one in receipt.objects} == {
        (name, len(data), hashlib.sha256(data).hexdigest()) for name, data in on_disk.items()
    }
    assert receipt.stored_bytes == sum(map(len, on_disk.values()))
    assert receipt.manifest_sha256 == hashlib.sha256(on_disk["manifest"]).hexdigest()


@pytest.mark.parametrize("over", [-1, 0, 1])
async def test_volumes_are_plain_slices_of_one_stream(tmp_path: Path, over: int) -> None:
    store, raw = local(tmp_path), os.urandom(40_000)
    plan = make_plan(codec=Plain())
    await write(store, raw, plan)
    whole = (tmp_path / PREFIX / "data.0").stat().st_size
    half = local(tmp_path / "half")

    await write(half, raw, make_plan(codec=Plain(), volume_bytes=whole // 2 - over))

    sizes = [
        (tmp_path / "half" / PREFIX / f"data.{number}").stat().st_size
        for number in range(2 + (over > 0 or whole % 2 != 0))
    ]
    assert sum(sizes) == whole
    assert set(sizes[:-1]) == {whole // 2 - over}
    assert await read(half) == raw


@pytest.mark.needs("zstd")
async def test_the_decrypted_frames_are_a_valid_zst_file(tmp_path: Path) -> None:
    store, raw = local(tmp_path), text(2_500_000)
    receipt = await write(store, raw)
    archive_key = await open_envelope(store, PREFIX, RECIPIENT)
    opening = OpeningStream(archive_key, Role.DATA, "backup1")

    plain = opening.update((tmp_path / PREFIX / "data.0").read_bytes()) + opening.finish()

    header_bytes = 4 + int.from_bytes(plain[:4], "little")
    frames = plain[header_bytes:-64]
    assert len(frames) == receipt.packed_bytes
    argv = ["zstd", "-d", "-c"]
    unpacked = await asyncio.to_thread(
        subprocess.run, argv, input=frames, capture_output=True, check=True
    )
    assert unpacked.stdout == raw


async def test_the_log_is_kept_beside_the_data(tmp_path: Path) -> None:
    store = local(tmp_path)
    await write(store, b"x")
    archive_key = await open_envelope(store, PREFIX, RECIPIENT)

    log = await read_log(store, PREFIX, archive_key=archive_key, trusted=TRUST)

    assert log == b"the log of this run\n"


async def test_equal_dumps_make_archives_without_an_equal_byte_string(tmp_path: Path) -> None:
    first, second = local(tmp_path / "1"), local(tmp_path / "2")
    raw = text(30_000)
    await write(first, raw)
    await write(second, raw)

    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    digest = hashlib.sha256(raw)
    assert digest.digest() not in stored
    assert digest.hexdigest().encode() not in stored
    assert (tmp_path / "1" / PREFIX / "data.0").read_bytes()[32:] != (
        tmp_path / "2" / PREFIX / "data.0"
    ).read_bytes()[32:]


async def test_the_manifest_comes_last_and_every_point_in_order(tmp_path: Path) -> None:
    store, seen = local(tmp_path), []

    async def point(name: str) -> None:
        seen.append((name, "manifest" in files(tmp_path)))

    await write(store, text(3 * MIB), point=point)

    assert [name for name, _ in seen] == POINTS
    assert [exists for _, exists in seen] == [False] * (len(POINTS) - 1) + [True]


async def test_a_new_volume_is_a_point_of_its_own(tmp_path: Path) -> None:
    seen: list[str] = []

    async def point(name: str) -> None:
        seen.append(name)

    await write(local(tmp_path), os.urandom(50_000), make_plan(volume_bytes=20_000), point=point)

    assert seen.count("volume-rolled") == 2


def whole(tmp_path: Path) -> bool:
    """Whether what lies there could be taken for a backup."""
    return "manifest" in files(tmp_path)


@pytest.mark.parametrize("fail_at", sorted(set(POINTS)))
async def test_a_failure_at_any_point_before_the_manifest_leaves_no_backup(
    tmp_path: Path, fail_at: str
) -> None:
    async def point(name: str) -> None:
        if name == fail_at:
            raise DumpToolError("stopped here")

    with pytest.raises(DumpToolError, match="stopped here"):
        await write(local(tmp_path), text(3 * MIB), point=point)

    assert whole(tmp_path) == (fail_at == "manifest-written")


@pytest.mark.parametrize("cancel_at", sorted(set(POINTS)))
async def test_a_cancellation_at_any_point_before_the_manifest_leaves_no_backup(
    tmp_path: Path, cancel_at: str
) -> None:
    reached = asyncio.Event()

    async def point(name: str) -> None:
        if name == cancel_at:
            reached.set()
            await asyncio.Event().wait()

    writing = asyncio.create_task(write(local(tmp_path), text(3 * MIB), point=point))
    await reached.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert whole(tmp_path) == (cancel_at == "manifest-written")


async def test_a_tool_that_did_not_end_well_leaves_no_backup(tmp_path: Path) -> None:
    with pytest.raises(DumpToolError, match="killed"):
        await write_archive(
            stream(text(2 * MIB)),
            ended=ended_badly,
            plan=make_plan(volume_bytes=100_000),
            store=local(tmp_path),
            log=stream(b""),
        )

    assert not whole(tmp_path)


@pytest.mark.parametrize("mebibytes", [0, 1, 2, 3])
async def test_a_dump_killed_at_any_mebibyte_reads_as_truncated(mebibytes: int) -> None:
    archive_key = bytes(range(32))
    packing = Packing(make_plan(codec=Plain()), archive_key, no_progress, no_point)
    sent: list[bytes] = []

    async def send() -> None:
        async for piece in packing.data():
            sent.append(piece)  # noqa: PERF401 - what came before the failure must stay

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(send())
            group.create_task(packing.pump(stream(os.urandom(mebibytes * MIB)), ended_badly))

    with pytest.raises(ExceptionGroup) as failed:
        await run()

    assert failed.group_contains(DumpToolError)
    opening = OpeningStream(archive_key, Role.DATA, "backup1")
    opening.update(b"".join(sent))
    with pytest.raises(TruncatedError):
        opening.finish()


async def test_a_slow_store_holds_the_source_back(tmp_path: Path) -> None:
    given = 0
    gate = asyncio.Event()

    async def counted() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(60):
            given += 1
            yield os.urandom(MIB)

    async def point(name: str) -> None:
        if name == "first-frame":
            await gate.wait()

    writing = asyncio.create_task(
        write_archive(
            counted(),
            ended=ended_well,
            plan=make_plan(),
            store=local(tmp_path),
            log=stream(b""),
            point=point,
        )
    )
    for _ in range(50):
        await asyncio.sleep(0.01)
    ahead = given
    gate.set()
    await writing

    assert ahead <= 8
    assert given == 60


async def test_the_event_loop_is_never_held_for_long(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    gaps: list[float] = []
    done = asyncio.Event()

    async def heartbeat() -> None:
        last = loop.time()
        while not done.is_set():
            await asyncio.sleep(0.001)
            gaps.append(loop.time() - last)
            last = loop.time()

    beating = asyncio.create_task(heartbeat())
    await write(local(tmp_path), text(8 * MIB))
    done.set()
    await beating

    assert sorted(gaps)[int(len(gaps) * 0.95)] < 0.1


async def test_progress_is_told_as_it_happens(tmp_path: Path) -> None:
    told: list[Progress] = []

    receipt = await write(local(tmp_path), text(3 * MIB), on_progress=told.append)

    assert [one.raw_bytes for one in told if one.stage == "data"] == [0, MIB, 2 * MIB, 3 * MIB]
    assert told[-1].stage == "manifest"
    assert told[-1].packed_bytes == receipt.packed_bytes
    assert set(receipt.seconds) == {"data", "check", "index", "log", "envelope", "manifest"}


class Flipping(Local, tag="flipping"):
    """A disk that gives back another byte than it was given."""

    async def get(
        self, key: str, start: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        async for piece in super().get(key, start, length):
            yield bytes([piece[0] ^ 1]) + piece[1:]


async def test_a_store_that_reads_back_other_bytes_fails_the_backup(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="reads back") as damaged:
        await write(Flipping(root=str(tmp_path)), text(1000))

    assert damaged.value.code == "store.object_damaged"
    assert not whole(tmp_path)


async def test_a_second_attempt_takes_everything_new(tmp_path: Path) -> None:
    store, raw = local(tmp_path), text(5000)
    await write(store, raw)
    await write(store, raw, make_plan(attempt="attempt2"))

    first = await open_envelope(store, PREFIX, RECIPIENT)
    second = await open_envelope(store, "backup1/attempt2", RECIPIENT)

    assert first != second
    assert await read(store, "backup1/attempt2") == raw


async def test_no_secret_is_shown_or_stored_in_clear(tmp_path: Path) -> None:
    plan = make_plan(passphrase="a canary of a passphrase")
    await write(local(tmp_path), b"canary row " * 1000, plan)

    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert not re.search(rb"canary|c{32}|63{32}", stored)
    assert "canary" not in repr(plan)


@pytest.mark.parametrize(
    "wrong",
    [
        {"backup_id": "a.b"},
        {"backup_id": "../x"},
        {"attempt": ""},
        {"recipients": ()},
        {"volume_bytes": 0},
        {"frame_bytes": 1 << 30},
    ],
)
def test_a_plan_that_could_only_fail_is_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(wrong))):
        make_plan(**wrong)


def test_an_object_is_only_a_little_larger_than_its_content() -> None:
    assert sealed_size(1 << 30) / (1 << 30) < 1.0011
