"""Deep reading: every archive of a chain with its keys, and whose damage it is."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from shared.archive.deep import damage_of, holds_anything, read_deeply
from shared.archive.errors import ArchiveError, WrongKeyError
from tests.support.archives import (
    SMALL,
    TRUST,
    links_of,
    local,
    make_plan,
    text,
    write,
    write_increment,
)


@pytest.fixture
async def chain(tmp_path: Path) -> tuple[Path, int]:
    """`b2` builds on `b1`, which builds on the full `b0`; the length of its dump."""
    raw, chance = text(300_000), random.Random(3)
    plan, store = make_plan(cut=SMALL, frame_bytes=20_000), local(tmp_path)
    await write(store, raw, msgspec.structs.replace(plan, backup_id="b0"))
    names = ["b0"]
    for name in ("b1", "b2"):
        at = chance.randrange(len(raw))
        raw = raw[:at] + chance.randbytes(5_000) + raw[at + 2_000 :]
        await write_increment(store, raw, msgspec.structs.replace(plan, backup_id=name), *names)
        names.insert(0, name)
    return tmp_path, len(raw)


async def deeply(root: Path, *names: str) -> int:
    links = await links_of(local(root), *names)
    return sum([count async for count in read_deeply(links, TRUST)])


async def test_what_is_whole_is_read_to_its_end(chain: tuple[Path, int]) -> None:
    root, length = chain

    assert await deeply(root, "b0") == 300_000
    assert await deeply(root, "b2", "b1", "b0") == length


@pytest.mark.parametrize("name", ["manifest", "data.0", "index", "log"])
@pytest.mark.parametrize("how", ["flipped", "cut", "missing"])
@pytest.mark.parametrize("whose", ["b0", "b2"])
async def test_damage_is_found_and_is_the_damaged_ones(
    chain: tuple[Path, int], name: str, how: str, whose: str
) -> None:
    root, _ = chain
    names = ("b2", "b1", "b0")
    read = names if whose == "b2" else (whose,)
    links, (own, *_) = await links_of(local(root), *names), read
    path = root / whose / "attempt1" / name
    content = path.read_bytes()
    path.unlink()
    if how != "missing":
        at = len(content) // 2
        flip = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        path.write_bytes(flip if how == "flipped" else content[:-1])

    with pytest.raises(ArchiveError):
        await deeply(root, *read)

    assert own == whose
    for link in links:
        assert (await damage_of(link, TRUST) is not None) == (link.name.backup_id == whose)


async def test_a_wrong_key_is_found_where_all_hashes_are_right(
    chain: tuple[Path, int],
) -> None:
    root, _ = chain
    (full,) = await links_of(local(root), "b0")
    other = msgspec.structs.replace(full, archive_key=bytes(32))

    with pytest.raises(WrongKeyError):
        await anext(read_deeply([other], TRUST))
    assert await damage_of(other, TRUST) is None


async def test_an_empty_folder_holds_nothing(tmp_path: Path, chain: tuple[Path, int]) -> None:
    assert await holds_anything(local(chain[0]))
    assert not await holds_anything(local(tmp_path / "not mounted"))
