"""P3 of the format: whatever an archive was changed into, the reader neither crashes nor swells."""

from __future__ import annotations

import asyncio
import itertools
import tracemalloc
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from shared.archive.envelope import Envelope, seal_envelope
from shared.archive.errors import ArchiveError
from shared.archive.manifest import read_manifest
from shared.archive.reader import open_envelope, read_archive
from tests.support.archives import RECIPIENT, RECOVERY, TRUST, local, text, write
from tests.unit.archive.test_forged import GOOD_INDEX, RAW, content, forge, read

PREFIX = "backup1/attempt1"
MOST_BYTES = 24 << 20
"""More than the largest frame of a hostile archive takes, and far less than a hostile length."""
NUMBERS = (b"\x00" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\xff" * 8)

edits = st.tuples(
    st.sampled_from(["overwrite", "insert", "delete", "repeat", "move"]),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 1, exclude_max=True),
    st.one_of(st.binary(min_size=1, max_size=12), st.sampled_from(NUMBERS)),
)
Edit = tuple[str, float, float, bytes]


def edited(original: bytes, changes: list[Edit]) -> bytes:
    """The bytes after each change: at a place, of a length, with some bytes."""
    data = bytearray(original)
    for kind, place, share, some in changes:
        at = int(place * len(data))
        end = at + int(share * (len(data) - at))
        match kind:
            case "overwrite":
                data[at : at + len(some)] = some
            case "insert":
                data[at:at] = some
            case "delete":
                del data[at:end]
            case "repeat":
                data[at:at] = data[at:end][:4096]
            case _:
                data[at:], data[:at] = data[:at], data[at:]
    return bytes(data)


def outcome_of(folder: Path) -> bytes | ArchiveError:
    """What reading gives, within bounded memory."""
    tracemalloc.start()
    try:
        return asyncio.run(read(folder))
    except ArchiveError as error:
        return error
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < MOST_BYTES


fuzzing = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
long_fuzzing = settings(fuzzing, max_examples=5_000)


def hostile_data(changes: list[Edit]) -> None:
    """Changed before it was sealed and signed: only the reader's own checks stand in the way."""
    with TemporaryDirectory() as folder:
        original = content()
        changed = edited(original, changes)
        forge(Path(folder), changed)

        found = outcome_of(Path(folder))

        # What the header says of the tool may differ; the dump may not.
        assert found == RAW or isinstance(found, ArchiveError)


def hostile_index(changes: list[Edit]) -> None:
    with TemporaryDirectory() as folder:
        forge(Path(folder), content(), edited(GOOD_INDEX, changes))

        found = outcome_of(Path(folder))

        assert found == RAW or isinstance(found, ArchiveError)


@fuzzing
@given(st.lists(edits, min_size=1, max_size=4))
def test_data_of_a_hostile_writer_is_an_error_or_the_same_dump(changes: list[Edit]) -> None:
    hostile_data(changes)


@fuzzing
@given(st.lists(edits, min_size=1, max_size=4))
def test_an_index_of_a_hostile_writer_is_an_error_or_the_same_dump(changes: list[Edit]) -> None:
    hostile_index(changes)


@pytest.mark.soak
@pytest.mark.timeout(0)
@long_fuzzing
@given(st.lists(edits, min_size=1, max_size=6))
def test_data_of_a_hostile_writer_many_times(changes: list[Edit]) -> None:
    hostile_data(changes)


@pytest.mark.soak
@pytest.mark.timeout(0)
@long_fuzzing
@given(st.lists(edits, min_size=1, max_size=6))
def test_an_index_of_a_hostile_writer_many_times(changes: list[Edit]) -> None:
    hostile_index(changes)


@cache
def sealed() -> bytes:
    """A good envelope."""
    return seal_envelope(
        bytes(32),
        backup_id="backup1",
        attempt="attempt1",
        number=1,
        file_ids={"data": "00" * 16, "index": "11" * 16, "log": "22" * 16},
        recipients=(RECIPIENT.public, RECOVERY.public),
    ).encode()


@settings(fuzzing, max_examples=300)
@given(st.lists(edits, min_size=1, max_size=4))
@example([("insert", 0.0, 0.0, b"[" * 12)] * 4)
def test_a_changed_envelope_gives_no_other_key(changes: list[Edit]) -> None:
    changed = edited(sealed(), changes)
    try:
        key = Envelope.decode(changed).open(RECIPIENT)
    except ArchiveError:
        return
    assert changed == sealed()
    assert key == bytes(32)


@settings(fuzzing, max_examples=300)
@given(st.binary(max_size=400))
@example(b"[" * 100_000)
@example(b'{"a":' * 50_000)
def test_what_is_no_envelope_or_manifest_is_an_error(data: bytes) -> None:
    with pytest.raises(ArchiveError):
        Envelope.decode(data)
    with pytest.raises(ArchiveError):
        read_manifest(data, TRUST)


async def test_objects_of_an_archive_in_each_others_place_are_errors(tmp_path: Path) -> None:
    """P1: a splice within an archive, every pair of its objects."""
    await write(local(tmp_path), text(300))
    folder = tmp_path / PREFIX
    archive_key = await open_envelope(local(tmp_path), PREFIX, RECIPIENT)
    good = {path.name: path.read_bytes() for path in folder.iterdir()}
    read_by = {"data.0", "index", "manifest"}

    for taken, place in itertools.permutations(good, 2):
        if place not in read_by:
            continue
        (folder / place).unlink()
        (folder / place).write_bytes(good[taken])
        opened = read_archive(local(tmp_path), PREFIX, archive_key=archive_key, trusted=TRUST)
        with pytest.raises(ArchiveError):
            async for _ in opened:
                pass
        (folder / place).unlink()
        (folder / place).write_bytes(good[place])
