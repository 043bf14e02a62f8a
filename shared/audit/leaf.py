"""The leaf of an event: a pure function of what the log stores of it, stable for ever.

Nothing here may depend on which messages this version can decode: a later version that knows
more of them must compute the same leaves, and so the same root.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import msgspec

from shared.archive.encoding import canonical
from shared.audit.note import timestamp

_LASTING = "Nats-Msg-Id"
_SUBJECT_PARTS = {"cfg": 3, "evt": 5}
_headers = json.JSONEncoder(sort_keys=True, separators=(",", ":"), check_circular=False)


class Leaf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entry of the audit log: leaf `n` is about the event with `stream_seq` = n + 1."""

    n: int
    time: str
    actor: str
    action: str
    object: str
    outcome: str
    request_id: str
    event_id: str
    event_hash: str
    stream_seq: int

    def text(self) -> bytes:
        """The canonical bytes that are hashed."""
        return canonical(self)


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event as the log stores it. `headers` are the lasting ones only."""

    seq: int
    at: datetime
    subject: str
    headers: dict[str, str]
    data: bytes


def lasting(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that belong to the event; the others only said how it was to be published."""
    return {
        name: value
        for name, value in headers.items()
        if name == _LASTING or not name.startswith(("Nats-", "Holdfast-"))
    }


def packed(headers: Mapping[str, str]) -> bytes:
    """The headers as event_log keeps them and as they are hashed."""
    return _headers.encode(headers).encode()


def event_hash(subject: str, headers: Mapping[str, str], data: bytes) -> bytes:
    """SHA-256 over subject, lasting headers and body, each after its length (8 bytes, big end).

    The headers are JSON in ASCII, sorted by name, without spaces: total for any header.
    """
    digest = sha256()
    for part in (subject.encode(), packed(headers), data):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def leaf_of(event: Event) -> Leaf:
    """The leaf of `event`; every event has one, whatever its bytes are."""
    said, (action, subject_of, outcome) = _said(event.data), _deed(event.subject)
    if said is None:
        outcome = "unreadable"
    elif said.get("problem") is not None:
        outcome = "failed"
    said = said or {"actor": ""}
    return Leaf(
        n=event.seq - 1,
        time=timestamp(event.at),
        actor=_text(said, "actor", "system"),
        action=action,
        object=subject_of,
        outcome=outcome,
        request_id=_text(said, "request_id", ""),
        event_id=_text(said, "id", event.headers.get(_LASTING, "")),
        event_hash=event_hash(event.subject, event.headers, event.data).hex(),
        stream_seq=event.seq,
    )


def _deed(subject: str) -> tuple[str, str, str]:
    """Action, object and outcome, as the subject says them."""
    parts = subject.split(".")
    if _SUBJECT_PARTS.get(parts[0]) != len(parts):
        return "unknown", subject, "ok"
    if parts[0] == "cfg":
        return f"{parts[1]}.set", f"{parts[1]}/{parts[2]}", "ok"
    outcome = "refused" if parts[2].endswith("refused") else "ok"
    return f"{parts[1]}.{parts[2]}", f"{parts[1]}/{parts[4]}", outcome


def _said(data: bytes) -> dict[str, Any] | None:
    """The body when it is a JSON object, else None."""
    try:
        said = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _text(said: dict[str, Any], name: str, default: str) -> str:
    value = said.get(name, default)
    return value if isinstance(value, str) else default
