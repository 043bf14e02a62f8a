"""An event of the stream as event_log, the audit log and the projection take it up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from services.auditor.stamp import STORED_AT, first_stored_at
from shared.audit.leaf import Event, Leaf, event_hash, lasting, leaf_of, packed
from shared.audit.merkle import leaf_hash
from shared.bus import Delivery
from shared.messages.base import Message
from shared.messages.wire import PoisonError, decode

EVENT_LOG = ("seq", "event_id", "subject", "stored_at", "headers", "data", "hash", "poison")
AUDIT_LOGS = (
    *("n", "seq", "time", "actor", "action", "object", "outcome", "request_id", "event_id"),
    *("leaf", "leaf_hash"),
)
"""The columns that `log_row` and `audit_row` fill, in order."""


class Record(msgspec.Struct, frozen=True):
    """`message` is None for poison: stored, counted and audited all the same."""

    event: Event
    hash: bytes
    leaf: Leaf
    text: bytes
    leaf_hash: bytes
    message: Message | None

    def without_message(self) -> Record:
        """The same event, marked as one that cannot be projected."""
        return msgspec.structs.replace(self, message=None)

    def log_row(self) -> tuple[Any, ...]:
        event = self.event
        known = (event.seq, _column(self.leaf.event_id), _column(event.subject), event.at)
        return (*known, packed(event.headers), event.data, self.hash, self.message is None)

    def audit_row(self) -> tuple[Any, ...]:
        leaf = self.leaf
        said = (leaf.actor, leaf.action, leaf.object, leaf.outcome, leaf.request_id, leaf.event_id)
        place = (leaf.n, leaf.stream_seq, self.event.at)
        return (*place, *map(_column, said), self.text, self.leaf_hash)


def recorded(delivery: Delivery, audit_keys: Sequence[bytes]) -> Record:
    """What `delivery` becomes; never raises, whatever its bytes are.

    `audit_keys`: the public keys that prove the time of an event that a repair stored again.
    """
    event = Event(
        seq=delivery.seq,
        at=first_stored_at(delivery, hash_of(delivery), audit_keys)
        if STORED_AT in delivery.headers
        else delivery.at,
        subject=delivery.subject,
        headers=lasting(delivery.headers),
        data=delivery.data,
    )
    return record_of(event)


def record_of(event: Event) -> Record:
    """The record of an event, wherever it was read."""
    leaf = leaf_of(event)
    text = leaf.text()
    digest = bytes.fromhex(leaf.event_hash)
    return Record(event, digest, leaf, text, leaf_hash(text), _message(event.data))


def stored_event(row: Mapping[str, Any]) -> Event:
    """The event in a row of event_log."""
    return Event(
        seq=row["seq"],
        at=row["stored_at"],
        subject=row["subject"],
        headers=msgspec.json.decode(row["headers"], type=dict[str, str]),
        data=row["data"],
    )


def hash_of(delivery: Delivery) -> bytes:
    """What event_log keeps as the hash of this delivery."""
    return event_hash(delivery.subject, lasting(delivery.headers), delivery.data)


def _message(data: bytes) -> Message | None:
    try:
        return decode(data)
    except PoisonError:
        return None


def _column(text: str) -> str:
    """`text` as Postgres can hold it; the leaf keeps it as it is."""
    return text.replace("\0", "\ufffd")
