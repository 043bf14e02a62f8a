"""What only a damaged stream holds: events that came after the damage, or were not projected."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec

from services.auditor.comparison import Reading, StreamDamagedError
from services.auditor.history import PAGE, History
from services.auditor.ledger import hash_of
from services.auditor.line import Line
from shared.audit.leaf import Event, lasting, leaf_of
from shared.bus import Bus, Delivery
from shared.bus.api import ApiError
from shared.bus.base import EVENTS

PENDING = "repair-pending.jsonl"


class Extra(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the fork, under its old number."""

    seq: int
    subject: str
    headers: dict[str, str]
    data: bytes


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """`equal` events stand where they belong; the stream ends at `end`."""

    equal: int
    end: int
    extras: list[Extra]


async def survey(bus: Bus, line: Line, history: History, last: int) -> Survey:
    """Read the whole damaged stream, as far as it can be read."""
    try:
        end = (await bus.state(EVENTS)).last_seq
    except ApiError:
        return Survey(equal=0, end=0, extras=[])
    equal, extras, expected = 0, [], _Expected(history, last)
    async for delivery in _readable(bus, line, end):
        if await expected.hash(delivery.seq) == hash_of(delivery):
            equal += 1
        elif not await history.holds(_event_id(delivery)):
            extras.append(_extra(delivery))
    return Survey(equal=equal, end=end, extras=extras)


class _Expected:
    """The hashes of event_log, a page at a time."""

    def __init__(self, history: History, last: int) -> None:
        self._history, self._last = history, last
        self._first = 1
        self._page: list[bytes] = []

    async def hash(self, seq: int) -> bytes | None:
        if seq > self._last:
            return None
        if not self._first <= seq < self._first + len(self._page):
            self._first = seq
            self._page = await self._history.hashes(seq, min(seq + PAGE - 1, self._last))
        return self._page[seq - self._first]


async def _readable(bus: Bus, line: Line, end: int) -> AsyncIterator[Delivery]:
    """Every event that the server still hands over; a block that it cannot read is passed over."""
    seen = 0
    async with aclosing(Reading(bus, 0)) as reading:
        while seen < end:
            try:
                delivery = await reading.next(seen + 1)
            except StreamDamagedError:
                break
            seen = delivery.seq
            yield delivery
    while seen < end and (found := await _next_readable(line, seen + 1, end)) is not None:
        seen = found.seq
        yield found


async def _next_readable(line: Line, seq: int, end: int) -> Delivery | None:
    for wanted in range(seq, end + 1):
        try:
            answer = await line.ask(f"STREAM.MSG.GET.{EVENTS}", {"seq": wanted})
        except ApiError:
            continue
        return _delivery(answer["message"])
    return None


def _delivery(message: dict[str, str]) -> Delivery:
    raw = base64.b64decode(message.get("hdrs", "")).decode(errors="replace")
    pairs = (line.split(":", 1) for line in raw.split("\r\n")[1:] if ":" in line)
    return Delivery(
        stream=EVENTS,
        subject=message["subject"],
        seq=int(message["seq"]),
        at=datetime.now(UTC),
        headers={name: value.strip() for name, value in pairs},
        data=base64.b64decode(message.get("data", "")),
    )


def _extra(delivery: Delivery) -> Extra:
    return Extra(
        seq=delivery.seq,
        subject=delivery.subject,
        headers=lasting(delivery.headers),
        data=delivery.data,
    )


def _event_id(delivery: Delivery) -> str:
    event = Event(
        seq=delivery.seq,
        at=delivery.at,
        subject=delivery.subject,
        headers=lasting(delivery.headers),
        data=delivery.data,
    )
    return leaf_of(event).event_id


def keep_pending(folder: Path, extras: Sequence[Extra]) -> list[Extra]:
    """Write the extras down before the stream is deleted, beside those of an interrupted repair.

    Returns all of them.
    """
    path = folder / PENDING
    earlier = _read(path) if path.exists() else []
    known = {(one.subject, one.data) for one in earlier}
    every = [*earlier, *(one for one in extras if (one.subject, one.data) not in known)]
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.writelines(msgspec.json.encode(extra) + b"\n" for extra in every)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return every


def settle(folder: Path, incident: UUID) -> str | None:
    """Keep the fork's events for people to read, or nothing when there were none."""
    path = folder / PENDING
    if not _read(path):
        path.unlink()
        return None
    kept = folder / f"fork-{incident}.jsonl"
    path.replace(kept)
    return str(kept)


def _read(path: Path) -> list[Extra]:
    return [msgspec.json.decode(line, type=Extra) for line in path.read_bytes().splitlines()]
