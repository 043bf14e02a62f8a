"""Who may sign the audit log: the first key, and each that its predecessor handed the log over to.

The origin, which names the log in every checkpoint, stays that of the first key. A hand-over is
signed by both: so whoever trusts any one of the keys can find out about all others.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from shared.archive.encoding import canonical
from shared.archive.keys import SigningKey
from shared.audit.note import Checkpoint, NoteError, is_signed, open_note, origin_of, timestamp
from shared.messages.values import AuditHandover

_DOMAIN = b"holdfast/audit-handover@v1\x00"
_PACKED = struct.Struct(">32s32sqq64s64s")  # old, new, size, microseconds, both signatures
HANDOVER_BYTES = _PACKED.size
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def hand_over(
    before: Succession, old: SigningKey, new: SigningKey, *, size: int, at: datetime
) -> AuditHandover:
    """Both keys' word that `new` signs from now on, and `old` for no more than `size` entries."""
    blank = AuditHandover(
        origin=before.origin,
        old=old.public.hex(),
        new=new.public.hex(),
        size=size,
        at=timestamp(at),
    )
    said = _statement(blank)
    return msgspec.structs.replace(
        blank, old_signature=old.sign(said).hex(), new_signature=new.sign(said).hex()
    )


class Term(msgspec.Struct, frozen=True):
    """One key, and for how many entries a checkpoint of it may speak: `least` to `most`."""

    public: bytes
    least: int = 0
    most: int | None = None


class Succession(msgspec.Struct, frozen=True):
    """All keys of one audit log, in their order."""

    origin: str
    terms: tuple[Term, ...]

    @classmethod
    def of(cls, trusted: bytes, handovers: Sequence[AuditHandover] = ()) -> Succession:
        """From any one of the keys; raises NoteError unless the hand-overs are one proven line
        that `trusted` is part of."""
        if not handovers:
            return cls(origin_of(trusted), (Term(trusted),))
        for one in handovers:
            _require_signed(one)
        terms = _terms(handovers)
        if trusted not in [term.public for term in terms]:
            raise NoteError("the trusted key is none of those that the log was handed over to")
        return cls(origin_of(terms[0].public), terms)

    @property
    def newest(self) -> bytes:
        return self.terms[-1].public

    @property
    def keys(self) -> tuple[bytes, ...]:
        """All of them, the first one first."""
        return tuple(term.public for term in self.terms)

    def open(self, note: str) -> Checkpoint:
        """The checkpoint in a note; raises NoteError unless one of the keys signed it in its time:
        after the hand-over the old key, whoever has it, says nothing more."""
        for term in self.terms[:-1]:
            try:
                checkpoint = open_note(note, self.origin, term.public)
            except NoteError:
                continue
            if term.least <= checkpoint.size <= (term.most or 0):
                return checkpoint
            raise NoteError("a key that was replaced signed this checkpoint after its time")
        checkpoint = open_note(note, self.origin, self.newest)
        if checkpoint.size < self.terms[-1].least:
            raise NoteError("a key signed this checkpoint that was not in use yet")
        return checkpoint


def _terms(handovers: Sequence[AuditHandover]) -> tuple[Term, ...]:
    first = bytes.fromhex(handovers[0].old)
    terms, least = [], 0
    for at, one in enumerate(handovers):
        before = handovers[at - 1].new if at else one.old
        if one.old != before or one.size < least or one.origin != origin_of(first):
            raise NoteError("the hand-overs of the audit log are not one line")
        terms.append(Term(bytes.fromhex(one.old), least, one.size))
        least = one.size
    newest = Term(bytes.fromhex(handovers[-1].new), least)
    if len({term.public for term in (*terms, newest)}) != len(handovers) + 1:
        raise NoteError("the hand-overs of the audit log lead back to a key that was replaced")
    return (*terms, newest)


def _require_signed(one: AuditHandover) -> None:
    said = _statement(one)
    for key, signature in ((one.old, one.old_signature), (one.new, one.new_signature)):
        if not is_signed(_bytes(key, 32), _bytes(signature, 64), said):
            raise NoteError("a hand-over of the audit log is not signed by both of its keys")


def _statement(one: AuditHandover) -> bytes:
    return _DOMAIN + canonical(msgspec.structs.replace(one, old_signature="", new_signature=""))


def _bytes(text: str, length: int) -> bytes:
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != length or value.hex() != text:
        raise NoteError("a hand-over of the audit log is not well formed")
    return value


def packed(one: AuditHandover) -> bytes:
    """All of it for paper, but the origin, which the first key of the line tells."""
    at = datetime.fromisoformat(one.at) - _EPOCH
    micros = (at.days * 86_400 + at.seconds) * 1_000_000 + at.microseconds
    fields = (one.old, one.new, one.old_signature, one.new_signature)
    old, new, old_signature, new_signature = map(bytes.fromhex, fields)
    return _PACKED.pack(old, new, one.size, micros, old_signature, new_signature)


def unpacked(line: Sequence[bytes]) -> list[AuditHandover]:
    """The inverse, of all hand-overs in their order; raises NoteError for other lengths."""
    try:
        rows = [_PACKED.unpack(one) for one in line]
    except struct.error:
        raise NoteError("a hand-over of the audit log is not well formed") from None
    return [
        AuditHandover(
            origin=origin_of(rows[0][0]),
            old=old.hex(),
            new=new.hex(),
            size=size,
            at=timestamp(
                datetime.fromtimestamp(micros // 1_000_000, UTC).replace(
                    microsecond=micros % 1_000_000
                )
            ),
            old_signature=old_signature.hex(),
            new_signature=new_signature.hex(),
        )
        for old, new, size, micros, old_signature, new_signature in rows
    ]
