"""When an event was first stored, kept through a repair that has to store it again.

A re-created stream gives every event a new time. The old one travels in a header that only the
holder of the audit key can write, so nobody can date an event back.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from shared.archive.keys import SigningKey
from shared.audit.leaf import Event, event_hash
from shared.audit.note import is_signed, timestamp
from shared.bus import Delivery

STORED_AT, PROOF = "Holdfast-Stored-At", "Holdfast-Stored-At-Proof"


def stamped(event: Event, key: SigningKey) -> dict[str, str]:
    """The event's headers, with its time and the proof of it."""
    at = timestamp(event.at)
    digest = event_hash(event.subject, event.headers, event.data)
    proof = base64.b64encode(key.sign(_statement(event.seq, at, digest))).decode()
    return {**event.headers, STORED_AT: at, PROOF: proof}


def first_stored_at(delivery: Delivery, digest: bytes, keys: Sequence[bytes]) -> datetime:
    """The proven time of the first storing, else the stream's own time."""
    headers: Mapping[str, str] = delivery.headers
    at, proof = headers.get(STORED_AT), headers.get(PROOF)
    if at is None or proof is None:
        return delivery.at
    try:
        signature = base64.b64decode(proof, validate=True)
        stored_at = datetime.fromisoformat(at).astimezone(UTC)
    except (ValueError, binascii.Error):
        return delivery.at
    statement = _statement(delivery.seq, at, digest)
    proven = any(is_signed(key, signature, statement) for key in keys)
    return stored_at if proven else delivery.at


def _statement(seq: int, at: str, digest: bytes) -> bytes:
    return f"holdfast/stored-at@v1\0{seq}\0{at}\0{digest.hex()}".encode()
