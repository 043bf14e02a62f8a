"""Checkpoints as signed notes: read back, or refused."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from shared.archive.keys import SigningKey
from shared.audit.note import Checkpoint, NoteError, key_id, open_note, origin_of, sign

KEY, OTHER = SigningKey(bytes(range(32))), SigningKey(bytes(32))
ORIGIN = origin_of(KEY.public)
CHECKPOINT = Checkpoint(ORIGIN, 7, bytes(32), "2026-01-01T00:00:00.000000Z")


def test_a_note_is_read_back() -> None:
    assert open_note(sign(CHECKPOINT, KEY), ORIGIN, KEY.public) == CHECKPOINT


def test_a_note_has_the_form_of_the_specification() -> None:
    text, signature = sign(CHECKPOINT, KEY).split("\n\n")
    mark, name, encoded = signature.rstrip("\n").split(" ")
    raw = base64.b64decode(encoded)

    assert text.split("\n")[:3] == [ORIGIN, "7", base64.b64encode(bytes(32)).decode()]
    assert (mark, name) == ("\u2014", ORIGIN)
    assert raw[:4] == key_id(ORIGIN, KEY.public)
    Ed25519PublicKey.from_public_bytes(KEY.public).verify(raw[4:], (text + "\n").encode())


def test_a_signature_of_a_witness_beside_ours_is_passed_over() -> None:
    note = sign(CHECKPOINT, KEY)
    witness = sign(Checkpoint("witness", 7, bytes(32)), OTHER).splitlines()[-1]

    assert open_note(f"{note}{witness}\n", ORIGIN, KEY.public) == CHECKPOINT


@pytest.mark.parametrize(
    "change",
    [
        lambda note: note.replace("\n7\n", "\n8\n"),
        lambda note: note.replace("time 2026", "time 2027"),
        lambda note: note.replace("\n\n", "\nmore\n\n"),
        lambda note: note.replace("\n7\n", "\n07\n"),
        lambda note: note[:-10],
        lambda note: note.replace(ORIGIN, "holdfast/elsewhere"),
        lambda note: note.replace("\u2014", "-"),
        lambda note: sign(CHECKPOINT, OTHER),
        lambda note: "",
        lambda note: note.split("\n\n")[0] + "\n\n",
    ],
)
def test_a_changed_note_is_refused(change) -> None:  # type: ignore[no-untyped-def]  # lambdas
    with pytest.raises(NoteError):
        open_note(change(sign(CHECKPOINT, KEY)), ORIGIN, KEY.public)


def test_another_key_or_origin_than_the_readers_is_refused() -> None:
    note = sign(CHECKPOINT, KEY)

    with pytest.raises(NoteError):
        open_note(note, ORIGIN, OTHER.public)
    with pytest.raises(NoteError):
        open_note(note, "holdfast/elsewhere", KEY.public)


def test_no_flipped_bit_goes_unseen() -> None:
    note = sign(CHECKPOINT, KEY).encode()
    for at in range(len(note) * 8):
        flipped = bytearray(note)
        flipped[at // 8] ^= 1 << at % 8
        with pytest.raises(NoteError):
            open_note(flipped.decode(errors="replace"), ORIGIN, KEY.public)
