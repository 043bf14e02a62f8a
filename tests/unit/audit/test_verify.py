"""Exports: an honest one proves itself, and no changed one passes."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from services.auditor.ledger import Record, recorded
from shared.archive.encoding import canonical
from shared.archive.keys import SigningKey
from shared.audit.export import FORMAT, EntryLine, ExportedEvent, Head, NoteLine
from shared.audit.leaf import Leaf
from shared.audit.merkle import Tree, leaf_hash
from shared.audit.note import Checkpoint, origin_of, sign
from shared.audit.verify import verify_audit
from shared.errors import PlatformError
from tests.unit.auditor.events import backup_story, delivered

KEY, STRANGER = SigningKey(bytes(range(32))), SigningKey(bytes(32))
STORIES = 10
EVERY = 8


def records() -> list[Record]:
    events = [event for _ in range(STORIES) for event in backup_story()]
    return [recorded(one, [KEY.public]) for one in delivered([*events[:5], b"\xff", *events[5:]])]


def export(entries: list[Record], key: SigningKey = KEY, *, events: bool = True) -> list[bytes]:
    """The lines of an export, built without the platform's own writer."""
    tree, notes = Tree(), []
    for record in entries:
        tree.append(record.leaf_hash)
        if tree.size % EVERY == 0 or tree.size == len(entries):
            checkpoint = Checkpoint(origin_of(key.public), tree.size, tree.root(), "2026")
            notes.append(sign(checkpoint, key))
    head = Head(
        format=FORMAT,
        origin=origin_of(key.public),
        fingerprint="for people",
        entries=len(entries),
        checkpoints=len(notes),
    )
    lines = [head, *map(NoteLine, notes), *(entry(one, events=events) for one in entries)]
    return [canonical(line) for line in lines]


def entry(record: Record, *, events: bool) -> EntryLine:
    event = ExportedEvent(
        subject=record.event.subject,
        headers=record.event.headers,
        data=base64.b64encode(record.event.data).decode(),
    )
    return EntryLine(leaf=record.leaf, event=event if events else None)


def written(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


@pytest.mark.parametrize("events", [True, False])
def test_an_honest_export_is_verified(tmp_path: Path, events: bool) -> None:
    entries = records()

    report = verify_audit(written(tmp_path / "a", export(entries, events=events)), KEY.public)

    tree = Tree()
    tree.extend(one.leaf_hash for one in entries)
    assert (report.entries, report.root) == (41, tree.root().hex())
    assert (report.events, report.checkpoints) == (41 if events else 0, 6)


def test_an_export_signed_by_another_platform_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a", export(records(), STRANGER))

    with pytest.raises(PlatformError, match="trusted key"):
        verify_audit(path, KEY.public)


def test_an_export_cut_at_an_old_checkpoint_is_refused_by_a_newer_anchor(tmp_path: Path) -> None:
    entries = records()
    newest = export(entries)[6]
    path = written(tmp_path / "a", export(entries[: 4 * EVERY]))
    anchor = msgspec.json.decode(newest, type=NoteLine).note

    assert verify_audit(path, KEY.public).entries == 4 * EVERY
    with pytest.raises(PlatformError, match="not reached"):
        verify_audit(path, KEY.public, anchors=[anchor])


def test_an_anchor_inside_the_export_must_fit(tmp_path: Path) -> None:
    path = written(tmp_path / "a", export(records()))
    anchor = sign(Checkpoint(origin_of(KEY.public), 3, bytes(32), "2026"), KEY)

    with pytest.raises(PlatformError, match="not the one that was signed"):
        verify_audit(path, KEY.public, anchors=[anchor])


Mutation = Callable[[list[bytes], random.Random], None]


def change_a_byte(lines: list[bytes], chance: random.Random) -> None:
    at = chance.randrange(1, len(lines))
    line = bytearray(lines[at])
    line[chance.randrange(len(line))] ^= 1 << chance.randrange(7)
    lines[at] = bytes(line)


def edit_an_entry(lines: list[bytes], chance: random.Random) -> None:
    at = chance.randrange(7, len(lines))
    line = msgspec.json.decode(lines[at], type=EntryLine)
    field = chance.choice(["actor", "object", "time", "action", "outcome", "event_hash"])
    leaf = msgspec.structs.replace(line.leaf, **{field: getattr(line.leaf, field) + "x"})
    lines[at] = canonical(msgspec.structs.replace(line, leaf=leaf))


def edit_an_event(lines: list[bytes], chance: random.Random) -> None:
    at = chance.randrange(7, len(lines))
    line = msgspec.json.decode(lines[at], type=EntryLine)
    assert line.event is not None
    data = base64.b64encode(base64.b64decode(line.event.data) + b" ").decode()
    changed = msgspec.structs.replace(line.event, data=data)
    lines[at] = canonical(msgspec.structs.replace(line, event=changed))


def drop_a_line(lines: list[bytes], chance: random.Random) -> None:
    del lines[chance.randrange(1, len(lines))]


def drop_the_end(lines: list[bytes], chance: random.Random) -> None:
    del lines[chance.randrange(8, len(lines)) :]


def repeat_a_line(lines: list[bytes], chance: random.Random) -> None:
    at = chance.randrange(1, len(lines))
    lines.insert(at, lines[at])


def swap_two_lines(lines: list[bytes], chance: random.Random) -> None:
    one, two = chance.sample(range(1, len(lines)), 2)
    lines[one], lines[two] = lines[two], lines[one]


def leave_one_out_and_renumber(lines: list[bytes], chance: random.Random) -> None:
    del lines[chance.randrange(7, len(lines) - 1)]
    _renumber(lines)


def insert_one_and_renumber(lines: list[bytes], chance: random.Random) -> None:
    lines.insert(chance.randrange(7, len(lines)), chance.choice(lines[7:]))
    _renumber(lines)


def sign_again_with_another_key(lines: list[bytes], chance: random.Random) -> None:
    edit_an_entry(lines, chance)
    tree = Tree()
    tree.extend(
        leaf_hash(msgspec.json.decode(one, type=EntryLine).leaf.text()) for one in lines[7:]
    )
    note = sign(Checkpoint(origin_of(KEY.public), tree.size, tree.root(), "2026"), STRANGER)
    lines[6] = canonical(NoteLine(note))


def put_an_old_checkpoint_last(lines: list[bytes], chance: random.Random) -> None:
    lines[6] = lines[chance.randrange(1, 6)]


def forge_the_size(lines: list[bytes], chance: random.Random) -> None:
    at = chance.randrange(1, 7)
    origin, size, *rest = msgspec.json.decode(lines[at], type=NoteLine).note.split("\n")
    lines[at] = canonical(NoteLine("\n".join([origin, str(int(size) - 1), *rest])))


def _renumber(lines: list[bytes]) -> None:
    for n, at in enumerate(range(7, len(lines))):
        line = msgspec.json.decode(lines[at], type=EntryLine)
        leaf: Leaf = msgspec.structs.replace(line.leaf, n=n, stream_seq=n + 1)
        lines[at] = canonical(msgspec.structs.replace(line, leaf=leaf))


MUTATIONS: list[Mutation] = [
    change_a_byte,
    edit_an_entry,
    edit_an_event,
    drop_a_line,
    drop_the_end,
    repeat_a_line,
    swap_two_lines,
    leave_one_out_and_renumber,
    insert_one_and_renumber,
    sign_again_with_another_key,
    put_an_old_checkpoint_last,
    forge_the_size,
]


@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda one: one.__name__)
def test_changed_exports_are_refused(tmp_path: Path, mutate: Mutation) -> None:
    _refuse_all(tmp_path, mutate, 25)


@pytest.mark.soak
@pytest.mark.parametrize("mutate", MUTATIONS, ids=lambda one: one.__name__)
def test_ten_thousand_changed_exports_are_refused(tmp_path: Path, mutate: Mutation) -> None:
    _refuse_all(tmp_path, mutate, 834)


def _refuse_all(tmp_path: Path, mutate: Mutation, count: int) -> None:
    honest, chance = export(records()), random.Random(7)
    for _ in range(count):
        lines = list(honest)
        mutate(lines, chance)
        if lines == honest:
            continue  # two equal lines were swapped

        with pytest.raises(PlatformError):
            verify_audit(written(tmp_path / "a", lines), KEY.public)
