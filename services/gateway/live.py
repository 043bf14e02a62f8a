"""Live events: one pair of followers per gateway, a ring, and any number of listeners."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
from litestar.response.sse import ServerSentEventMessage

from services.gateway.grants import Place
from services.gateway.places import OUTPUT, TOPICS, UNKNOWN, Places, Topic
from shared.bus import Bus, Delivery
from shared.bus.base import EVENTS, LOGS
from shared.errors import PlatformError
from shared.keys.sealed import is_sealed
from shared.readmodel.reader import ReadModel

RING = 4096
REMEMBERED_AT_START = 1000
QUIET_S = 15.0
CATCH_UP_S = 30.0
_CURSOR = re.compile(r"^e(\d{1,18})\.l(\d{1,18})$")


class Cursor(msgspec.Struct, frozen=True):
    """How far a listener is in both streams."""

    events: int
    logs: int

    def __str__(self) -> str:
        return f"e{self.events}.l{self.logs}"

    @classmethod
    def read(cls, text: str) -> Cursor | None:
        """The cursor that `text` stands for, or None when it is none of ours."""
        found = _CURSOR.match(text)
        return cls(int(found[1]), int(found[2])) if found else None


class LiveEvent(msgspec.Struct, frozen=True):
    """One message as listeners may see it: sealed values are gone. `at` includes it.

    `place` is where the server stands that it is about, if there is one. `framed` is what goes
    over the wire, made once for all listeners.
    """

    at: Cursor
    stream: str
    type: str
    subject: str
    body: dict[str, Any]
    topic: Topic = UNKNOWN
    place: Place | None = None
    framed: bytes = b""

    @property
    def noun(self) -> str:
        """`backup` of `evt.backup.completed...`, `server` of `cfg.server...`, `log` of output."""
        return "log" if self.stream == LOGS else _noun(self.subject)

    @property
    def run_id(self) -> str:
        """Whose output it is, or which run an event is about."""
        return str(self.body.get("run_id", ""))


Wanted = Callable[[LiveEvent], bool]


class Live:
    """Follows EVENTS and LOGS once, whatever the number of listeners.

    An event is shown once the projection has passed it, so that a refetch is never stale.
    """

    def __init__(self, bus: Bus, read_model: ReadModel) -> None:
        self._bus, self._read_model = bus, read_model
        self._ring: deque[LiveEvent] = deque(maxlen=RING)
        self._shown = 0
        self._cursor = Cursor(0, 0)
        self._oldest = Cursor(0, 0)
        self._waiting: set[_Waiting] = set()
        self._closed = False
        self._places = Places(read_model)

    async def follow(self) -> None:
        """Fill the ring, for ever."""
        events = (await self._bus.state(EVENTS)).last_seq
        logs = (await self._bus.state(LOGS)).last_seq
        self._cursor = Cursor(max(0, events - REMEMBERED_AT_START), logs)
        self._oldest = self._cursor
        await self._places.load()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(EVENTS, self._cursor.events))
            group.create_task(self._follow(LOGS, self._cursor.logs))

    def close(self) -> None:
        """End every listener's stream; they come back with their cursor."""
        self._closed = True
        self._wake()

    @property
    def cursor(self) -> Cursor:
        """Where a new listener begins."""
        return self._cursor

    async def listen(self, after: Cursor | None, wanted: Wanted) -> AsyncIterator[LiveEvent | None]:
        """What happens after the cursor; None after each while without anything wanted.

        Raises ResyncNeeded when events between the cursor and the ring are gone.
        """
        here = after or self._cursor
        position = self._shown - len(self._ring)
        if _misses(here, self._oldest):
            raise ResyncNeeded(self._cursor)
        loop = asyncio.get_running_loop()
        said = loop.time()
        while not self._closed:
            first = self._shown - len(self._ring)
            if position < first:
                raise ResyncNeeded(self._cursor)
            while position < self._shown:
                event = self._ring[position - (self._shown - len(self._ring))]
                position += 1
                if not _known(event, here) and wanted(event):
                    yield event
                    said = loop.time()
                if position < self._shown - len(self._ring):
                    raise ResyncNeeded(self._cursor)
            position = await self._anything_after(position, wanted, until=said + QUIET_S)
            if loop.time() >= said + QUIET_S:
                yield None
                said = loop.time()

    async def _anything_after(self, position: int, wanted: Wanted, *, until: float) -> int:
        """Wait for something wanted after the `position` first events, or until the time.

        Returns the position reached: past what was not wanted. A future each, not a condition,
        whose lock would let hundreds of listeners on one by one; and nobody's task runs for what
        they do not want.
        """
        if self._closed or self._shown > position:
            return position
        loop = asyncio.get_running_loop()
        waiting = _Waiting(loop.create_future(), wanted, position)
        self._waiting.add(waiting)
        timer = loop.call_at(until, waiting.end)
        try:
            await waiting.over
        finally:
            timer.cancel()
            self._waiting.discard(waiting)
        return waiting.position

    def _wake(self) -> None:
        for waiting in self._waiting:
            waiting.end()
        self._waiting.clear()

    def _stir(self, event: LiveEvent) -> None:
        """Wake those who want the event that was just shown; the others are past it."""
        stirred = {waiting for waiting in self._waiting if waiting.wanted(event)}
        self._waiting -= stirred
        for waiting in self._waiting:
            waiting.position = self._shown
        for waiting in stirred:
            waiting.end()

    async def _follow(self, stream: str, after_seq: int) -> None:
        async for delivery in self._bus.follow(stream, after_seq=after_seq):
            if stream == EVENTS:
                await self._projected(delivery.seq)
            await self._show(delivery)

    async def _projected(self, seq: int) -> None:
        while True:
            try:
                await self._read_model.at_least(seq, within_s=CATCH_UP_S)
            except PlatformError:
                await asyncio.sleep(0.2)
            else:
                return

    async def _show(self, delivery: Delivery) -> None:
        if delivery.stream == EVENTS:
            self._cursor = Cursor(delivery.seq, self._cursor.logs)
        else:
            self._cursor = Cursor(self._cursor.events, delivery.seq)
        at = self._cursor
        body = _public(delivery)
        if body is None:
            return
        topic = OUTPUT if delivery.stream == LOGS else TOPICS.get(_noun(delivery.subject), UNKNOWN)
        place = await self._places.of(topic, body)
        kind = str(body.get("type", ""))
        framed = _framed(at, kind, delivery.subject, body)
        event = LiveEvent(at, delivery.stream, kind, delivery.subject, body, topic, place, framed)
        if len(self._ring) == RING:
            self._oldest = _raised(self._oldest, self._ring[0])
        self._ring.append(event)
        self._shown += 1
        self._stir(event)


class ResyncNeeded(Exception):  # noqa: N818 - a signal to the route, not a failure
    """The cursor is too old: load everything anew, then listen from `cursor`."""

    def __init__(self, cursor: Cursor) -> None:
        super().__init__(str(cursor))
        self.cursor = cursor


class _Waiting:
    """A listener who has seen the `position` first events and waits for one that they want."""

    def __init__(self, over: asyncio.Future[None], wanted: Wanted, position: int) -> None:
        self.over, self.wanted, self.position = over, wanted, position

    def end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)


def _framed(at: Cursor, kind: str, subject: str, body: dict[str, Any]) -> bytes:
    data = msgspec.json.encode({"type": kind, "subject": subject, "event": body})
    return ServerSentEventMessage(event=kind, id=str(at), data=data).encode()


def _misses(here: Cursor, oldest: Cursor) -> bool:
    return here.events < oldest.events or here.logs < oldest.logs


def _known(event: LiveEvent, here: Cursor) -> bool:
    if event.stream == EVENTS:
        return event.at.events <= here.events
    return event.at.logs <= here.logs


def _raised(oldest: Cursor, dropped: LiveEvent) -> Cursor:
    if dropped.stream == EVENTS:
        return Cursor(dropped.at.events, oldest.logs)
    return Cursor(oldest.events, dropped.at.logs)


def _noun(subject: str) -> str:
    return subject.split(".")[1]


def _public(delivery: Delivery) -> dict[str, Any] | None:
    """The message without what is sealed; None for claims and for what is no JSON object."""
    if delivery.subject.startswith("cfg.claim."):
        return None
    try:
        body = msgspec.json.decode(delivery.data, type=dict[str, Any])
    except msgspec.DecodeError:
        return None
    shown: dict[str, Any] = without_sealed(body)
    return shown


def without_sealed(value: Any) -> Any:
    """`value` with every sealed token left out, at any depth."""
    if isinstance(value, dict):
        return {
            name: without_sealed(part)
            for name, part in value.items()
            if name != "sealed" and not is_sealed(part)
        }
    if isinstance(value, list):
        return [without_sealed(part) for part in value if not is_sealed(part)]
    return value
