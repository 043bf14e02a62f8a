"""A second reader of archives, on Node's own crypto, agrees with ours byte for byte."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from shared.archive.codecs import AnyCodec, Gzip, Zstd
from shared.archive.header import Role
from shared.archive.reader import open_envelope
from shared.archive.sealing import OpeningStream
from tests.golden.make_golden import CHAIN, CHAINED, CODECS
from tests.support.archives import RECIPIENT, RECOVERY, local, read_increment, write_chain
from tests.support.evidence import ROOT
from tests.unit.archive.test_recover import TRUSTED, recover

GOLDEN = ROOT / "tests" / "golden"
READER = ROOT / "tests" / "contract" / "reader.mjs"
ARCHIVES = [
    *((name, "backup1") for name in CODECS),
    *((CHAIN, backup_id) for backup_id in CHAINED),
]
IN_NODE = ("v1-none", "v1-gzip")
"""What every Node can unpack."""


@cache
def node() -> str:
    """The Node that the dashboard is built with."""
    found = subprocess.run(
        [ROOT / ".ci" / "frontend", "node", "-p", "process.execPath"],
        capture_output=True,
        check=True,
        text=True,
        timeout=300,
    )
    return found.stdout.strip()


async def reading(
    store: Path, backup_id: str, role: str
) -> tuple[subprocess.CompletedProcess[bytes], bytes]:
    """What Node made of one object, and the archive's key."""
    key = await open_envelope(local(store), f"{backup_id}/attempt1", RECIPIENT)
    return await asyncio.to_thread(_read, store, backup_id, role, key), key


def _read(store: Path, backup_id: str, role: str, key: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [node(), str(READER), str(store / backup_id / "attempt1"), backup_id, role],
        input=key.hex().encode(),
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(("name", "backup_id"), ARCHIVES)
@pytest.mark.parametrize("role", list(Role))
async def test_both_readers_decrypt_the_same_bytes(name: str, backup_id: str, role: Role) -> None:
    """P5 of the archive format."""
    theirs, key = await reading(GOLDEN / name, backup_id, role)

    stream, folder = OpeningStream(key, role, backup_id), GOLDEN / name / backup_id / "attempt1"
    names = sorted(folder.glob("data.*"), key=lambda path: int(path.suffix[1:]))
    paths = names if role is Role.DATA else [folder / role]
    ours = b"".join(stream.update(path.read_bytes()) for path in paths) + stream.finish()
    assert theirs.stderr == b""
    assert theirs.stdout == ours


@pytest.mark.parametrize("codec", [Zstd(), Gzip()])
async def test_three_readers_agree_about_a_chain_of_thirty_increments(
    tmp_path: Path, codec: AnyCodec
) -> None:
    """The platform and the recovery script give back the dump, Node decrypts all it is made of."""
    raw, names = await write_chain(tmp_path / "store", 30, codec=codec)
    store, key_file = tmp_path / "store", tmp_path / "key"
    key_file.write_text(RECOVERY.printed() + "\n", encoding="utf-8")
    newest = store / names[0] / "attempt1"

    recovered = await asyncio.to_thread(
        recover, "decrypt", newest, *TRUSTED, "--key-file", key_file
    )

    assert await read_increment(local(store), *names) == raw
    assert (recovered.returncode, recovered.stdout == raw) == (0, True), recovered.stderr
    for name in names:
        for role in (Role.DATA, Role.INDEX) if name == names[0] else (Role.DATA,):
            theirs, key = await reading(store, name, role)
            stored = store / name / "attempt1" / (f"{role}.0" if role is Role.DATA else role)
            stream = OpeningStream(key, role, name)
            ours = stream.update(stored.read_bytes()) + stream.finish()
            assert (theirs.stderr, theirs.stdout == ours) == (b"", True), name


@pytest.mark.parametrize("name", IN_NODE)
async def test_both_readers_give_back_the_same_dump(name: str) -> None:
    theirs, _ = await reading(GOLDEN / name, "backup1", "dump")

    assert theirs.stdout == (GOLDEN / "raw.txt").read_bytes()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda stored: stored[:-40] + b"x" + stored[-39:], b"was changed"),
        (lambda stored: stored[:-1], b"not as long"),
    ],
)
async def test_the_second_reader_gives_out_nothing_of_a_damaged_object(
    tmp_path: Path, damage: Callable[[bytes], bytes], said: bytes
) -> None:
    store = tmp_path / "store"
    shutil.copytree(GOLDEN / "v1-zstd", store)
    path = store / "backup1" / "attempt1" / "data.0"
    stored = path.read_bytes()
    path.unlink()
    path.write_bytes(damage(stored))

    theirs, _ = await reading(store, "backup1", "data")

    assert theirs.returncode == 1
    assert theirs.stdout == b""
    assert said in theirs.stderr


def test_the_second_reader_fits_on_two_pages() -> None:
    assert len(READER.read_text().splitlines()) < 150
