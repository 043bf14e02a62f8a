"""Archives in a store, damaged in every way: an error, never other bytes."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.archive.codecs import Plain
from shared.archive.errors import (
    ArchiveError,
    ObjectChangedError,
    TruncatedError,
    UntrustedError,
    WrongKeyError,
)
from shared.archive.reader import open_envelope, read_archive, read_log, verify_objects
from tests.support.archives import RECIPIENT, TRUST, local, make_plan, read, text, write

PREFIX = "backup1/attempt1"
RAW = text(300)
SIGNED = ("data.0", "index", "log")


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A small archive's folder."""
    await write(local(tmp_path), RAW)
    return tmp_path / PREFIX


@pytest.fixture
async def volumes(tmp_path: Path) -> Path:
    """The folder of an archive of three volumes, and a sibling beside it."""
    plan = make_plan(codec=Plain(), volume_bytes=20_000)
    raw = random.Random(1).randbytes(50_000)
    await write(local(tmp_path), raw, plan)
    await write(local(tmp_path), raw, make_plan(codec=Plain(), volume_bytes=20_000, attempt="a2"))
    return tmp_path / PREFIX


async def refused(folder: Path) -> ArchiveError:
    """What reading the archive raises; fails if bytes come out as if all were well."""
    store = local(folder.parent.parent)
    with pytest.raises(ArchiveError) as problem:
        await read(store)
    return problem.value


async def damaged_everywhere(folder: Path, step: int) -> dict[str, int]:
    """Every `step`th bit flipped, and cut at every `step`th length: cases of each object."""
    store = local(folder.parent.parent)
    archive_key = await open_envelope(store, PREFIX, RECIPIENT)

    async def dump() -> bytes:
        opened = read_archive(store, PREFIX, archive_key=archive_key, trusted=TRUST)
        return b"".join([piece async for piece in opened])

    async def log() -> bytes:
        return await read_log(store, PREFIX, archive_key=archive_key, trusted=TRUST)

    async def key() -> bytes:
        return await open_envelope(store, PREFIX, RECIPIENT)

    cases = {}
    readers = {"data.0": dump, "index": dump, "manifest": dump, "log": log, "envelope.1": key}
    for name, opened in readers.items():
        path, right = folder / name, await opened()
        whole = path.read_bytes()
        damages = [*_flipped(whole, step), *(whole[:at] for at in range(0, len(whole), step))]
        for damaged in damages:
            path.write_bytes(damaged)
            with pytest.raises(ArchiveError):
                await opened()
        path.write_bytes(whole)
        assert await opened() == right
        cases[name] = len(damages)
    assert await dump() == RAW
    return cases


def _flipped(whole: bytes, step: int) -> Iterator[bytes]:
    for at in range(0, 8 * len(whole), step):
        changed = bytearray(whole)
        changed[at // 8] ^= 1 << at % 8
        yield bytes(changed)


async def test_flips_and_cuts_of_any_object_are_errors(folder: Path) -> None:
    assert min((await damaged_everywhere(folder, step=53)).values()) > 0


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_every_flip_and_cut_of_any_object_is_an_error(
    folder: Path, record_property: Callable[[str, object], None]
) -> None:
    for name, count in (await damaged_everywhere(folder, step=1)).items():
        record_property(f"flips and cuts of {name}", count)


@pytest.mark.parametrize("name", SIGNED)
async def test_a_scrub_without_any_key_finds_the_damaged_object(folder: Path, name: str) -> None:
    store = local(folder.parent.parent)
    path = folder / name
    assert (await verify_objects(store, PREFIX, TRUST)).ok

    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    report = await verify_objects(store, PREFIX, TRUST)
    assert (report.ok, report.damaged, report.missing) == (False, (name,), ())

    path.unlink()
    report = await verify_objects(store, PREFIX, TRUST)
    assert (report.ok, report.damaged, report.missing) == (False, (), (name,))


@pytest.mark.parametrize("name", ["manifest", "data.0", "index", "envelope.1"])
async def test_a_missing_object_is_truncated(folder: Path, name: str) -> None:
    (folder / name).unlink()

    assert isinstance(await refused(folder), TruncatedError)


async def test_a_longer_object_is_refused(folder: Path) -> None:
    with (folder / "data.0").open("ab") as file:
        file.write(b"\0")

    assert isinstance(await refused(folder), ObjectChangedError)


def swap(folder: Path) -> None:
    first, second = (folder / f"data.{number}" for number in range(2))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)


def duplicate(folder: Path) -> None:
    shutil.copy(folder / "data.0", folder / "data.1")


def splice(folder: Path) -> None:
    shutil.copy(folder.parent / "a2" / "data.1", folder / "data.1")


def splice_index(folder: Path) -> None:
    shutil.copy(folder.parent / "a2" / "index", folder / "index")


def drop_last(folder: Path) -> None:
    (folder / "data.2").unlink()


@pytest.mark.parametrize("change", [swap, duplicate, splice, splice_index, drop_last])
async def test_a_swapped_doubled_foreign_or_missing_volume_is_refused(
    volumes: Path, change: Callable[[Path], None]
) -> None:
    change(volumes)

    await refused(volumes)
    assert not (await verify_objects(local(volumes.parent.parent), PREFIX, TRUST)).ok


async def test_a_whole_sibling_in_the_place_of_an_archive_is_refused(volumes: Path) -> None:
    shutil.rmtree(volumes)
    shutil.copytree(volumes.parent / "a2", volumes)

    with pytest.raises(UntrustedError):
        await verify_objects(local(volumes.parent.parent), PREFIX, TRUST)


async def test_a_siblings_envelope_and_a_siblings_key_open_nothing(volumes: Path) -> None:
    store = local(volumes.parent.parent)
    theirs = await open_envelope(store, "backup1/a2", RECIPIENT)
    opened = read_archive(store, PREFIX, archive_key=theirs, trusted=TRUST)
    with pytest.raises(WrongKeyError):
        await anext(opened)

    shutil.copy(volumes.parent / "a2" / "envelope.1", volumes / "envelope.1")

    await refused(volumes)


async def test_a_reader_that_stops_early_leaves_nothing_running(volumes: Path) -> None:
    store = local(volumes.parent.parent)
    archive_key = await open_envelope(store, PREFIX, RECIPIENT)
    opened = read_archive(store, PREFIX, archive_key=archive_key, trusted=TRUST)

    await anext(opened)
    await opened.aclose()

    assert asyncio.all_tasks() == {asyncio.current_task()}
