"""One stream in memory: messages by sequence, and who waits for more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from shared.bus.base import Appended, Delivery
from shared.bus.subjects import first_matching, matches

if TYPE_CHECKING:
    from shared.bus.memory_work import Durable

FORGETS_IDS_AFTER_S = 120.0


class Stored(msgspec.Struct, frozen=True):
    """What is written: a subject, headers and a body."""

    subject: str
    headers: dict[str, str]
    data: bytes

    @property
    def id(self) -> str:
        return self.headers.get("Nats-Msg-Id", "")


class Changed:
    """Wakes everybody who waits whenever the number grows."""

    def __init__(self) -> None:
        self.number = 0
        self._event = asyncio.Event()

    def grow(self, number: int) -> None:
        self.number = number
        self._event.set()
        self._event = asyncio.Event()

    async def wait_for_more(self, than: int, timeout_s: float | None = None) -> None:
        """Return once `number` exceeds `than`, or the time is over."""
        while self.number <= than:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._event.wait()
            except TimeoutError:
                return


class MemoryStream:
    """Sequences count from 1 without holes: nothing is ever removed."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.name = name
        self.messages: list[Delivery] = []
        self.changed = Changed()
        self.durables: dict[str, Durable] = {}
        self._clock = clock
        self._ids: dict[str, tuple[int, float]] = {}

    @property
    def last_seq(self) -> int:
        return len(self.messages)

    def append(self, stored: Stored) -> Appended:
        """Store, unless an id of the last two minutes says it stands already."""
        seq, at = self._ids.get(stored.id, (0, 0.0))
        if stored.id and seq and self._clock() - at < FORGETS_IDS_AFTER_S:
            return Appended(seq, already=True)
        seq = self.last_seq + 1
        self.messages.append(
            Delivery(self.name, stored.subject, seq, datetime.now(UTC), stored.headers, stored.data)
        )
        self._ids[stored.id] = (seq, self._clock())
        self.changed.grow(seq)
        return Appended(seq)

    def last(self, pattern: str) -> int:
        """The last sequence under the pattern, or 0."""
        for delivery in reversed(self.messages):
            if matches(pattern, delivery.subject):
                return delivery.seq
        return 0

    def find(self, stored: Stored, *, after_seq: int) -> int | None:
        """Where the same id stands on the same subject after `after_seq`."""
        for delivery in self.after(after_seq):
            same = delivery.headers.get("Nats-Msg-Id") == stored.id
            if same and delivery.subject == stored.subject:
                return delivery.seq
        return None

    def after(self, seq: int) -> list[Delivery]:
        return self.messages[seq:]

    def under(self, filters: Iterable[str], after_seq: int) -> Iterator[Delivery]:
        filters = list(filters)
        return (one for one in self.after(after_seq) if first_matching(filters, one.subject))
