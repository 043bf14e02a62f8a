"""Checks an export of the audit log offline: nothing in the file is believed unproven."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec

from shared.archive.encoding import canonical
from shared.archive.keys import fingerprint
from shared.audit.export import FORMAT, EntryLine, Head, NoteLine
from shared.audit.leaf import Event, Leaf, leaf_of
from shared.audit.merkle import Tree, leaf_hash
from shared.audit.note import Checkpoint
from shared.audit.succession import Succession
from shared.errors import PlatformError

LONGEST_LINE = 64 * 1024 * 1024

Line = TypeVar("Line", bound=msgspec.Struct)


class AuditRefusedError(PlatformError):
    """The export is not what the platform's audit key signed."""

    code = "audit.refused"
    default_fix = "export again; if that is refused too, somebody changed the audit log"


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What an export proved."""

    origin: str
    fingerprint: str
    entries: int
    events: int
    checkpoints: int
    root: str
    signed_at: str


def verify_audit(
    path: Path, public_key: bytes, *, origin: str | None = None, anchors: Sequence[str] = ()
) -> Verified:
    """Hash every entry anew and hold the result against every checkpoint.

    `public_key` (32 bytes, from a recovery sheet) and `origin` (by default the one derived from
    the first key) are the caller's, never the file's: the file's hand-overs count as far as they
    lead from that key, forwards or backwards, to the others. `anchors` are checkpoints kept
    elsewhere, as in a manifest: an export that ends before one of them was cut. Raises
    AuditRefusedError or NoteError; OSError when the file cannot be read.
    """
    with path.open("rb") as file:
        lines = _lines(file)
        head = _head(lines)
        noted = [_decoded(line, NoteLine, at).note for at, line in _take(lines, head.checkpoints)]
        keys = Succession.of(public_key, head.handovers)
        if origin is not None and origin != keys.origin:
            raise AuditRefusedError(f"this is the log of {keys.origin}")
        signed = [keys.open(note) for note in noted]
        kept = [keys.open(note) for note in anchors]
        return _verify_entries(lines, head, signed, kept, public_key)


def _head(lines: Iterator[tuple[int, bytes]]) -> Head:
    for at, line in lines:
        head = _decoded(line, Head, at)
        if head.format != FORMAT:
            raise AuditRefusedError(f"this version does not read {head.format!r}")
        if head.checkpoints < 1 or head.entries < 0:
            raise AuditRefusedError("the export has no checkpoint, so it proves nothing")
        return head
    raise AuditRefusedError("the export is empty")


def _verify_entries(
    lines: Iterator[tuple[int, bytes]],
    head: Head,
    signed: list[Checkpoint],
    anchors: list[Checkpoint],
    public_key: bytes,
) -> Verified:
    _check_order(signed, head)
    due: dict[int, list[Checkpoint]] = {}
    for checkpoint in [*signed, *anchors]:
        due.setdefault(checkpoint.size, []).append(checkpoint)
    tree, events = Tree(), 0
    _check_root(tree, due)
    for at, line in lines:
        entry = _decoded(line, EntryLine, at)
        events += _check_entry(entry, tree.size, at)
        tree.append(leaf_hash(entry.leaf.text()))
        _check_root(tree, due)
    if tree.size != head.entries or due:
        raise AuditRefusedError(f"a checkpoint was not reached: the export ends at {tree.size}")
    return Verified(
        origin=signed[-1].origin,
        fingerprint=fingerprint(public_key),
        entries=tree.size,
        events=events,
        checkpoints=len(signed),
        root=tree.root().hex(),
        signed_at=signed[-1].at,
    )


def _check_order(signed: list[Checkpoint], head: Head) -> None:
    sizes = [checkpoint.size for checkpoint in signed]
    if sizes != sorted(set(sizes)) or sizes[-1] != head.entries:
        raise AuditRefusedError("the checkpoints do not lead up to the last entry")
    if head.origin != signed[-1].origin:
        raise AuditRefusedError("the head names another installation than its checkpoints")


def _check_root(tree: Tree, due: dict[int, list[Checkpoint]]) -> None:
    for checkpoint in due.pop(tree.size, ()):
        if checkpoint.root != tree.root():
            raise AuditRefusedError(
                f"an entry before number {tree.size} is not the one that was signed"
            )


def _check_entry(entry: EntryLine, n: int, at: int) -> int:
    if (entry.leaf.n, entry.leaf.stream_seq) != (n, n + 1):
        raise AuditRefusedError(f"line {at} holds entry {entry.leaf.n}, but {n} comes next")
    if entry.event is None:
        return 0
    if _leaf_of(entry, at) != entry.leaf:
        raise AuditRefusedError(f"the event in line {at} is not the one of its entry")
    return 1


def _leaf_of(entry: EntryLine, at: int) -> Leaf:
    assert entry.event is not None
    try:
        event = Event(
            seq=entry.leaf.stream_seq,
            at=datetime.fromisoformat(entry.leaf.time).astimezone(UTC),
            subject=entry.event.subject,
            headers=entry.event.headers,
            data=base64.b64decode(entry.event.data, validate=True),
        )
    except (ValueError, binascii.Error):
        raise AuditRefusedError(f"the event in line {at} cannot be read") from None
    return leaf_of(event)


def _take(lines: Iterator[tuple[int, bytes]], count: int) -> Iterator[tuple[int, bytes]]:
    for _ in range(count):
        line = next(lines, None)
        if line is None:
            raise AuditRefusedError("the export ends among its checkpoints")
        yield line


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    at = 0
    while line := file.readline(LONGEST_LINE):
        at += 1
        if not line.endswith(b"\n"):
            raise AuditRefusedError(f"line {at} is cut")
        yield at, line[:-1]


def _decoded(line: bytes, kind: type[Line], at: int) -> Line:
    try:
        value = msgspec.json.decode(line, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise AuditRefusedError(f"line {at} is not a line of an export") from None
    if canonical(value) != line:
        raise AuditRefusedError(f"line {at} is not written as the platform writes it")
    return value
