"""Envelopes: sealed to some keys and no other, and not to be changed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from shared.archive.encoding import canonical
from shared.archive.envelope import Envelope, seal_envelope
from shared.archive.errors import (
    ArchiveError,
    EnvelopeTamperedError,
    NoKeyError,
    TruncatedError,
    UnsupportedError,
    WrongKeyError,
)
from shared.archive.keys import RecipientKey
from shared.archive.reader import (
    old_envelopes,
    open_envelope,
    open_envelope_with_passphrase,
    rotate_envelope,
)
from tests.support.archives import RECIPIENT, RECOVERY, local, make_plan, read, text, write

ARCHIVE_KEY = bytes(range(32))
PREFIX = "backup1/attempt1"


def seal(*keys: RecipientKey, passphrase: str | None = None, attempt: str = "a1") -> Envelope:
    return seal_envelope(
        ARCHIVE_KEY,
        backup_id="b1",
        attempt=attempt,
        number=1,
        file_ids={"data": "00" * 16, "index": "11" * 16, "log": "22" * 16},
        recipients=tuple(key.public for key in keys),
        passphrase=passphrase,
    )


def test_each_recipient_opens_it_and_nobody_else() -> None:
    envelope = Envelope.decode(seal(RECIPIENT, RECOVERY).encode())

    assert envelope.open(RECIPIENT) == envelope.open(RECOVERY) == ARCHIVE_KEY
    with pytest.raises(NoKeyError):
        envelope.open(RecipientKey.generate())
    with pytest.raises(NoKeyError):
        envelope.open_with_passphrase("none was set")


def test_a_passphrase_opens_it_however_its_letters_are_composed() -> None:
    envelope = Envelope.decode(seal(passphrase="b\u00e4r").encode())

    assert envelope.open_with_passphrase("ba\u0308r") == ARCHIVE_KEY
    with pytest.raises(WrongKeyError):
        envelope.open_with_passphrase("bar")


def test_an_archive_without_any_recipient_is_not_written() -> None:
    with pytest.raises(NoKeyError):
        seal()


def flipped_bits(step: int) -> None:
    sealed = seal(RECIPIENT).encode()
    for at in range(0, 8 * len(sealed), step):
        changed = bytearray(sealed)
        changed[at // 8] ^= 1 << at % 8
        with pytest.raises(ArchiveError):
            Envelope.decode(bytes(changed)).open(RECIPIENT)


def test_flipped_bits_are_errors() -> None:
    flipped_bits(step=11)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_every_flipped_bit_is_an_error() -> None:
    flipped_bits(step=1)


def test_every_cut_is_an_error() -> None:
    sealed = seal(RECIPIENT).encode()

    for length in range(len(sealed)):
        with pytest.raises(EnvelopeTamperedError):
            Envelope.decode(sealed[:length])


def test_a_stanza_fits_its_own_archive_only() -> None:
    theirs = json.loads(seal(RECIPIENT, attempt="a2").encode())
    ours = json.loads(seal(RECIPIENT).encode())

    spliced = canonical({**ours, "stanzas": theirs["stanzas"]})

    with pytest.raises(EnvelopeTamperedError):
        Envelope.decode(spliced).open(RECIPIENT)


def test_a_dropped_or_doubled_stanza_is_noticed() -> None:
    ours = json.loads(seal(RECIPIENT, RECOVERY).encode())

    for stanzas in (ours["stanzas"][:1], [*ours["stanzas"], ours["stanzas"][0]]):
        with pytest.raises(EnvelopeTamperedError):
            Envelope.decode(canonical({**ours, "stanzas": stanzas})).open(RECIPIENT)


def test_a_stanza_of_a_kind_yet_to_come_is_passed_over() -> None:
    ours = json.loads(seal(RECIPIENT).encode())
    later = {**ours, "stanzas": [{"kind": "kms", "key": "x"}, *ours["stanzas"]]}

    with pytest.raises(EnvelopeTamperedError, match="changed since"):
        Envelope.decode(canonical(later)).open(RECIPIENT)


def test_a_passphrase_stanza_cannot_ask_for_endless_work() -> None:
    ours = json.loads(seal(passphrase="p").encode())
    greedy = [{**ours["stanzas"][0], "memory_kib": 1 << 30}]

    with pytest.raises(UnsupportedError):
        Envelope.decode(canonical({**ours, "stanzas": greedy})).open_with_passphrase("p")


async def test_rotation_changes_no_immutable_object_and_shuts_the_old_key_out(
    tmp_path: Path,
) -> None:
    store, raw, new = local(tmp_path), text(50_000), RecipientKey.generate()
    await write(store, raw, make_plan(recipients=(RECIPIENT.public,)))
    folder = tmp_path / PREFIX
    before = {path.name: path.read_bytes() for path in folder.iterdir() if "env" not in path.name}

    sealed = await rotate_envelope(store, PREFIX, (RECIPIENT,), (new.public,), passphrase="p")
    for key in await old_envelopes(store, PREFIX):
        await store.delete(key)

    assert sealed[:2] == (2, (new.public.id,))
    assert {p.name: p.read_bytes() for p in folder.iterdir() if "env" not in p.name} == before
    assert await read(store, key=new) == raw
    assert await open_envelope_with_passphrase(store, PREFIX, "p")
    with pytest.raises(NoKeyError):
        await open_envelope(store, PREFIX, RECIPIENT)


async def test_the_highest_envelope_that_verifies_counts(tmp_path: Path) -> None:
    store = local(tmp_path)
    await write(store, b"x", make_plan())
    folder = tmp_path / PREFIX
    archive_key = await open_envelope(store, PREFIX, RECIPIENT)
    (folder / "envelope.7").write_bytes(b"{}")
    (folder / "envelope.8").write_bytes((folder / "envelope.1").read_bytes())

    assert await open_envelope(store, PREFIX, RECIPIENT) == archive_key

    (folder / "envelope.1").unlink()
    with pytest.raises(EnvelopeTamperedError):
        await open_envelope(store, PREFIX, RECIPIENT)
    for name in ("envelope.7", "envelope.8"):
        (folder / name).unlink()
    with pytest.raises(TruncatedError):
        await open_envelope(store, PREFIX, RECIPIENT)


async def test_rotation_keeps_the_passphrase_and_writes_nothing_twice(tmp_path: Path) -> None:
    store, new = local(tmp_path), RecipientKey.generate()
    await write(store, b"x", make_plan(recipients=(RECIPIENT.public,), passphrase="p"))

    for _ in range(2):
        keys, wanted = (new, RECIPIENT), (new.public, RECOVERY.public)
        number, sealed_to, sha256 = await rotate_envelope(store, PREFIX, keys, wanted)
        assert (number, sealed_to) == (2, (new.public.id, RECOVERY.public.id))
        written = (tmp_path / PREFIX / "envelope.2").read_bytes()
        assert sha256 == hashlib.sha256(written).hexdigest()

    assert sorted(p.name for p in (tmp_path / PREFIX).glob("envelope.*")) == [
        "envelope.1",
        "envelope.2",
    ]
    keys_found = {
        await open_envelope(store, PREFIX, new),
        await open_envelope(store, PREFIX, RECOVERY),
        await open_envelope_with_passphrase(store, PREFIX, "p"),
    }
    assert len(keys_found) == 1


async def test_an_envelope_of_another_key_than_the_data_s_is_never_sealed_anew(
    tmp_path: Path,
) -> None:
    store, new = local(tmp_path), RecipientKey.generate()
    await write(store, b"x", make_plan(recipients=(RECIPIENT.public,)))
    path = tmp_path / PREFIX / "envelope.1"
    ids = json.loads(path.read_bytes())["file_ids"]
    forged = seal_envelope(
        b"k" * 32,
        backup_id="backup1",
        attempt="attempt1",
        number=1,
        file_ids=ids,
        recipients=(RECIPIENT.public,),
    )
    path.unlink()
    path.write_bytes(forged.encode())

    with pytest.raises(WrongKeyError):
        await rotate_envelope(store, PREFIX, (RECIPIENT,), (new.public,))

    assert [p.name for p in (tmp_path / PREFIX).glob("envelope.*")] == ["envelope.1"]
