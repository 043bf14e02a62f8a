"""Keys of one audit log after another: each speaks in its time, and nobody gets in between."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest

from shared.archive.keys import SigningKey
from shared.audit.note import Checkpoint, NoteError, sign
from shared.audit.succession import Succession, hand_over, packed, unpacked
from shared.messages.values import AuditHandover

ONE, TWO, THREE, STRANGER = (SigningKey(bytes([n]) * 32) for n in (1, 2, 3, 4))
AT = datetime(2026, 11, 27, 5, 30, 1, 250, UTC)


def handed(old: SigningKey, new: SigningKey, size: int, *before: AuditHandover) -> AuditHandover:
    return hand_over(Succession.of(old.public, before), old, new, size=size, at=AT)


FIRST = handed(ONE, TWO, 10)
SECOND = handed(TWO, THREE, 25, FIRST)
KEYS = Succession.of(ONE.public, [FIRST, SECOND])


def note(key: SigningKey, size: int, origin: str = KEYS.origin) -> str:
    return sign(Checkpoint(origin, size, bytes(32), "2026"), key)


@pytest.mark.parametrize("trusted", [ONE, TWO, THREE])
def test_whoever_trusts_one_key_reads_what_each_signed_in_its_time(trusted: SigningKey) -> None:
    keys = Succession.of(trusted.public, [FIRST, SECOND])

    assert [keys.open(note(ONE, n)).size for n in (1, 10)] == [1, 10]
    assert [keys.open(note(TWO, n)).size for n in (10, 11, 25)] == [10, 11, 25]
    assert [keys.open(note(THREE, n)).size for n in (25, 999)] == [25, 999]
    assert keys.newest == THREE.public


@pytest.mark.parametrize(
    ("key", "size"), [(ONE, 11), (ONE, 999), (TWO, 9), (TWO, 26), (THREE, 24), (STRANGER, 5)]
)
def test_no_key_speaks_outside_its_time(key: SigningKey, size: int) -> None:
    with pytest.raises(NoteError):
        KEYS.open(note(key, size))


def test_a_key_speaks_under_the_first_name_of_the_log_alone() -> None:
    with pytest.raises(NoteError):
        KEYS.open(note(THREE, 30, Succession.of(THREE.public).origin))


def changed(**fields: object) -> Callable[[AuditHandover], AuditHandover]:
    return lambda one: msgspec.structs.replace(one, **fields)


@pytest.mark.parametrize(
    "change",
    [
        changed(size=11),
        changed(at="2026-11-28T00:00:00.000000Z"),
        changed(new=STRANGER.public.hex()),
        changed(old=STRANGER.public.hex()),
        changed(origin="holdfast/0000000000000000"),
        changed(old_signature="00" * 64),
        changed(new_signature="00" * 64),
        changed(old_signature="zz"),
        changed(old_signature=""),
    ],
)
def test_a_hand_over_that_was_changed_is_refused(
    change: Callable[[AuditHandover], AuditHandover],
) -> None:
    with pytest.raises(NoteError):
        Succession.of(ONE.public, [change(FIRST), SECOND])


@pytest.mark.parametrize(
    "line",
    [
        [SECOND, FIRST],
        [FIRST, FIRST],
        [FIRST, handed(ONE, THREE, 25)],
        [handed(STRANGER, TWO, 10)],
        [FIRST, handed(TWO, ONE, 25, FIRST)],
        [FIRST, handed(TWO, THREE, 9, FIRST)],
    ],
    ids=["swapped", "replayed", "two branches", "a stranger's", "back again", "shrunk"],
)
def test_only_one_line_of_hand_overs_from_the_trusted_key_counts(
    line: list[AuditHandover],
) -> None:
    with pytest.raises(NoteError):
        Succession.of(ONE.public, line)


def test_what_the_stranger_signed_for_both_keys_does_not_count() -> None:
    forged = msgspec.structs.replace(
        handed(STRANGER, TWO, 10), old=ONE.public.hex(), origin=FIRST.origin
    )

    with pytest.raises(NoteError, match="signed by both"):
        Succession.of(ONE.public, [forged])


def test_hand_overs_come_back_from_paper_as_they_were() -> None:
    assert unpacked([packed(FIRST), packed(SECOND)]) == [FIRST, SECOND]
    with pytest.raises(NoteError):
        unpacked([packed(FIRST)[:-1]])
