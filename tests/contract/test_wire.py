"""The vocabulary is frozen: one golden JSON per message class, its type and its subject."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from shared.messages import wire
from shared.messages.base import Fact, Message, Order, Output, Setting
from shared.messages.facts import AnyFact
from shared.messages.orders import AnyOrder
from shared.messages.output import AnyOutput
from shared.messages.settings import AnySetting

GOLDEN = Path(__file__).parent / "wire"
UNIONS: dict[type[Message], Any] = {
    Fact: AnyFact,
    Setting: AnySetting,
    Order: AnyOrder,
    Output: AnyOutput,
}


class Frozen(msgspec.Struct, frozen=True):
    """One golden file: a message as it was first said, and where."""

    subject: str
    message: msgspec.Raw


def leaves(base: type[Message]) -> set[type[Message]]:
    found: set[type[Message]] = set()
    for child in base.__subclasses__():
        found |= leaves(child) or {child}
    return found


def golden(path: Path) -> Frozen:
    return msgspec.json.decode(path.read_bytes(), type=Frozen)


@pytest.mark.parametrize("base", list(UNIONS), ids=lambda base: base.__name__)
def test_the_union_of_a_kind_holds_every_class_of_it(base: type[Message]) -> None:
    assert set(get_args(UNIONS[base])) == leaves(base)


def test_every_class_has_a_golden_file_and_every_file_a_class() -> None:
    classes = {one.__name__ for union in UNIONS.values() for one in get_args(union)}
    assert {path.stem for path in GOLDEN.glob("*.json")} == classes


def test_no_two_classes_share_a_type() -> None:
    tags = [one.__struct_config__.tag for union in UNIONS.values() for one in get_args(union)]
    assert len(tags) == len(set(tags))


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_a_message_is_read_and_written_as_when_it_was_frozen(path: Path) -> None:
    frozen = golden(path)
    message = wire.decode(bytes(frozen.message))
    assert type(message).__name__ == path.stem
    assert message.subject == frozen.subject
    written = msgspec.json.decode(wire.encode(message))
    assert written == msgspec.json.decode(frozen.message)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.json")), ids=lambda path: path.stem)
def test_a_field_of_a_later_version_is_ignored(path: Path) -> None:
    frozen = golden(path)
    later = {**msgspec.json.decode(frozen.message), "field_of_tomorrow": 1}
    assert wire.decode(msgspec.json.encode(later)) == wire.decode(bytes(frozen.message))


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[1]", b'{"type":"backup.sung"}', b"\xff", b"[" * 9999]
)
def test_what_is_no_message_is_poison(data: bytes) -> None:
    with pytest.raises(wire.PoisonError):
        wire.decode(data)


def test_the_headers_are_cloud_events_and_carry_the_id() -> None:
    message = wire.decode(bytes(golden(GOLDEN / "BackupCancelled.json").message))
    headers = wire.headers(message, "the gateway")
    assert headers["Nats-Msg-Id"] == headers["ce-id"] == str(message.id)
    assert headers["ce-type"] == "backup.cancelled"
    assert headers["ce-source"] == "/holdfast/the%20gateway"
    assert headers["ce-time"] == "2026-11-23T12:00:00Z"
    assert headers["ce-specversion"] == "1.0"
