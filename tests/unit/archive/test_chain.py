"""Chains: any dump comes back from a full and its increments, which hold only what changed."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from services.executor.plan import ArchivePlan
from shared.archive.chain import Chain, Link
from shared.archive.chain_reader import read_dump
from shared.archive.codecs import AnyCodec, Gzip, Lz4, Plain, Zstd
from shared.archive.cut import CutParameters
from shared.archive.errors import (
    ArchiveError,
    ObjectChangedError,
    ParentMissingError,
    UntrustedError,
    WrongKeyError,
)
from shared.archive.matching import Matcher
from tests.support.archives import (
    TRUST,
    links_of,
    local,
    make_plan,
    read_increment,
    text,
    write,
    write_increment,
)

SMALL = CutParameters(minimum=64, average=256, maximum=1024, normalization=2)


def plan(number: int, codec: AnyCodec | None = None) -> ArchivePlan:
    return make_plan(
        backup_id=f"b{number}",
        cut=SMALL,
        frame_bytes=4096,
        volume_bytes=10_000,
        codec=codec or Plain(),
    )


def edited(raw: bytes, chance: random.Random) -> bytes:
    """A few changes of every kind: overwritten, grown, shrunk, moved."""
    data = bytearray(raw)
    for _ in range(chance.randrange(1, 5)):
        at, size = chance.randrange(len(data) + 1), chance.randrange(1, 3000)
        match chance.randrange(5):
            case 0:
                data[at : at + size] = chance.randbytes(min(size, len(data) - at))
            case 1:
                data[at:at] = chance.randbytes(size)
            case 2:
                del data[at : at + size]
            case 3:
                moved = bytes(data[at : at + size])
                del data[at : at + size]
                to = chance.randrange(len(data) + 1)
                data[to:to] = moved
            case _:
                data += data[at : at + size]
    return bytes(data)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=some.integers(0, 2**32), length=some.integers(1, 6), size=some.integers(0, 60_000))
async def test_any_chain_of_edits_comes_back_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, seed: int, length: int, size: int
) -> None:
    """P7 of the format."""
    chance = random.Random(seed)
    store = local(tmp_path_factory.mktemp("store"))
    codec: AnyCodec = chance.choice([Plain(), Zstd(), Lz4(), Gzip()])
    raws = [text(size, seed)]
    await write(store, raws[0], plan(0, codec))
    names = ["b0"]
    for number in range(1, length + 1):
        raws.append(edited(raws[-1], chance))
        builds_on = chance.choice([names, ["b0"]])  # an increment, or a differential
        window = Matcher(window=chance.choice([8, 64, 4096]), patience=chance.choice([4, 512]))
        await write_increment(store, raws[-1], plan(number, codec), *builds_on, matcher=window)
        names = [f"b{number}", *builds_on]

        assert await read_increment(store, *names) == raws[-1]


async def test_an_unchanged_dump_stores_nothing_again(tmp_path: Path) -> None:
    store, raw = local(tmp_path), text(200_000)
    full = await write(store, raw, plan(0))

    receipt = await write_increment(store, raw, plan(1), "b0")

    assert receipt.raw_bytes == len(raw)
    assert receipt.fresh_bytes == 0
    assert receipt.stored_bytes < full.stored_bytes / 10


async def test_one_changed_byte_costs_about_a_chunk(tmp_path: Path) -> None:
    store, raw = local(tmp_path), text(200_000)
    await write(store, raw, plan(0))
    changed = raw[:100_000] + b"!" + raw[100_001:]

    receipt = await write_increment(store, changed, plan(1), "b0")

    assert 0 < receipt.fresh_bytes <= 3 * SMALL.maximum
    assert await read_increment(store, "b1", "b0") == changed


async def test_what_was_removed_in_front_is_passed_over_by_the_anchors(tmp_path: Path) -> None:
    """Most of the stream lies beyond the window after the deletion, and is found all the same."""
    store, raw = local(tmp_path), random.Random(3).randbytes(800_000)
    await write(store, raw, plan(0))
    kept = random.Random(4).randbytes(20_000) + raw[600_000:]

    receipt = await write_increment(
        store, kept, plan(1), "b0", matcher=Matcher(window=64, patience=16)
    )

    assert receipt.fresh_bytes < 120_000
    assert await read_increment(store, "b1", "b0") == kept


async def test_a_chain_of_thirty_increments_comes_back(tmp_path: Path) -> None:
    store, chance = local(tmp_path), random.Random(5)
    raw = text(100_000)
    await write(store, raw, plan(0))
    names = ["b0"]
    for number in range(1, 31):
        raw = edited(raw, chance)
        await write_increment(store, raw, plan(number), *names)
        names = [f"b{number}", *names]

    assert await read_increment(store, *names) == raw


async def test_without_its_parent_an_increment_is_not_read(tmp_path: Path) -> None:
    store, raw = local(tmp_path), text(50_000)
    await write(store, raw, plan(0))
    await write_increment(store, raw + b"more", plan(1), "b0")
    await write_increment(store, raw + b"and more", plan(2), "b1", "b0")

    with pytest.raises(ParentMissingError):
        await read_increment(store, "b2", "b1")
    with pytest.raises(ParentMissingError):
        await read_increment(store, "b2")
    (tmp_path / "b0" / "attempt1" / "data.0").unlink()
    with pytest.raises(ParentMissingError):
        await read_increment(store, "b2", "b1", "b0")


async def test_another_archive_of_the_parents_name_is_refused(tmp_path: Path) -> None:
    store, other = local(tmp_path / "one"), local(tmp_path / "other")
    await write(store, text(50_000), plan(0))
    await write_increment(store, text(50_000) + b"more", plan(1), "b0")
    await write(other, text(50_000, seed=9), plan(0))
    (link, parent) = await links_of(store, "b1", "b0")
    (forged,) = await links_of(other, "b0")
    for name in (tmp_path / "other" / "b0" / "attempt1").iterdir():
        name.replace(tmp_path / "one" / "b0" / "attempt1" / name.name)

    with pytest.raises(WrongKeyError):
        await drained([link, parent])
    with pytest.raises(ArchiveError):  # its content is not what the trailer of the increment says
        await drained([link, forged])
    pinned = msgspec.structs.replace(parent, manifest_sha256="00" * 32)
    with pytest.raises(ObjectChangedError):
        await drained([link, pinned])


async def test_a_link_to_another_archives_folder_is_refused(tmp_path: Path) -> None:
    store = local(tmp_path)
    await write(store, text(50_000), plan(0))
    (link,) = await links_of(store, "b0")
    (tmp_path / "b0").rename(tmp_path / "b7")

    with pytest.raises(UntrustedError):
        await Chain.open([msgspec.structs.replace(link, prefix="b7/attempt1")], TRUST)


@pytest.mark.parametrize("name", ["data.0", "data.1", "index"])
@pytest.mark.parametrize("backup", ["b0", "b1"])
async def test_a_flipped_bit_anywhere_in_a_chain_never_gives_other_bytes(
    tmp_path: Path, name: str, backup: str
) -> None:
    """P1 of the format, for what is read by ranges."""
    store, raw = local(tmp_path), random.Random(1).randbytes(30_000)
    grown = random.Random(2).randbytes(14_000) + raw
    await write(store, raw, plan(0))
    await write_increment(store, grown, plan(1), "b0")
    links = await links_of(store, "b1", "b0")
    path = tmp_path / backup / "attempt1" / name
    whole = path.read_bytes()
    for at in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])

        with pytest.raises(ArchiveError):
            await drained(links)


async def drained(links: list[Link]) -> None:
    async for _ in read_dump(links, TRUST):
        pass
