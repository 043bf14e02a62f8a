"""What a bus promises, whichever one it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Protocol, TypeAlias

import msgspec

from shared.errors import PlatformError
from shared.messages.base import Fact, Order, Output, Setting
from shared.messages.wire import AnyMessage

EVENTS, COMMANDS, LOGS, DLQ, AUDIT_CKPT = "EVENTS", "COMMANDS", "LOGS", "DLQ", "AUDIT_CKPT"


class WrongSequenceError(PlatformError):
    """Somebody appended first: the state the caller decided on is no longer the last."""

    code = "conflict.sequence"
    status = HTTPStatus.CONFLICT
    default_fix = "load the current state and decide again"


class Expect(msgspec.Struct, frozen=True):
    """The last sequence that must stand on `subject` (wildcards allowed; default: the own one).

    0 means: nothing was ever said there.
    """

    seq: int
    subject: str | None = None


class Draft(msgspec.Struct, frozen=True):
    """A message and what must be true for it to land."""

    message: Fact | Setting | Order
    expect: Expect | None = None


class Appended(msgspec.Struct, frozen=True):
    """Where a message landed. `already`: an earlier try of the same id had landed."""

    seq: int
    already: bool = False


class Delivery(msgspec.Struct, frozen=True):
    """One stored message. `tries` counts deliveries to this durable, from 1."""

    stream: str
    subject: str
    seq: int
    at: datetime
    headers: dict[str, str]
    data: bytes
    tries: int = 1

    @property
    def message(self) -> AnyMessage:
        """The decoded message; raises PoisonError."""
        from shared.messages.wire import decode

        return decode(self.data)


class Entry(msgspec.Struct, frozen=True):
    """One key of a bucket; `value` is None once deleted or expired (in a watch)."""

    key: str
    value: bytes | None
    revision: int


class StreamState(msgspec.Struct, frozen=True):
    """What the server says of a stream."""

    first_seq: int
    last_seq: int
    messages: int
    deleted: int


Handler: TypeAlias = Callable[[Delivery], Awaitable[None]]
Answerer: TypeAlias = Callable[[bytes], Awaitable[bytes | None]]
"""None: the question is for another replica; nothing is answered."""


class Kv(Protocol):
    """One key-value bucket. Keys are subject tokens joined by dots."""

    async def get(self, key: str) -> Entry | None:
        """The current entry, or None (also when expired)."""

    async def put(self, key: str, value: bytes) -> int:
        """Write whatever is there; returns the revision. Restarts the bucket's TTL."""

    async def create(self, key: str, value: bytes, *, ttl_s: float | None = None) -> int | None:
        """Write only where nothing stands; None when something does."""

    async def update(
        self, key: str, value: bytes, *, revision: int, ttl_s: float | None = None
    ) -> int | None:
        """Write only over `revision`; None when that is no longer the current one."""

    async def delete(self, key: str) -> None:
        """Make sure nothing stands there."""

    async def keys(self, prefix: str = "") -> list[str]:
        """The living keys that begin with `prefix`."""

    def watch(self, pattern: str = ">") -> AsyncIterator[Entry | None]:
        """The current entries, then one None, then every change, for ever."""


class Bus(Protocol):
    """Publish, hear, remember and ask. Safe to use from many coroutines of one loop."""

    async def append(
        self, message: Fact | Setting | Order, *, expect: Expect | None = None
    ) -> Appended:
        """Store `message` durably, once.

        A fact or setting waits for the write gate. After a time-out or a refused expectation it
        looks for the message's own id from the expected sequence on, then returns where it
        landed, raises WrongSequenceError, or resends. Raises UnavailableError after ~20 s: then
        the message may still be stored (the caller's id makes a repeat harmless).
        """

    async def append_all(self, drafts: Sequence[Draft]) -> Appended:
        """Store all drafts as consecutive messages of EVENTS, or none (atomic batch).

        Returns the sequence of the last. Raises as `append` does.
        """

    async def keep(self, stream: str, subject: str, data: bytes, *, key: str) -> int:
        """Store bytes that are no message (a checkpoint on `ckpt.audit` in AUDIT_CKPT), once.

        `key` tells them from all others of the last two minutes. Returns the sequence.
        """

    async def last_of(self, subject: str) -> list[Delivery]:
        """The last message of every subject that matches the one filter, by sequence.

        It reads through a consumer of that filter, so a worker may use it for its own pool.
        """

    async def work(
        self,
        durable: str,
        stream: str,
        filters: Sequence[str],
        handler: Handler,
        *,
        parallel: int = 1,
    ) -> None:
        """Hand deliveries to `handler`, for ever; at least once; the position survives.

        Return acks. `PlatformError` with `retryable` naks with growing delay; another
        PlatformError or poison goes to the dead letters (`dlq.<durable>`) and is done with; any
        other exception is a logged bug and is delivered again, at most 8 times, then dead-letters.
        While the handler runs, the server is told so. Cancelling neither acks nor naks.
        `LeaveDelivery` raised by a handler does the same for one delivery (a fenced loser).
        """

    def follow(
        self, stream: str, *, after_seq: int, filters: Sequence[str] = (">",)
    ) -> AsyncIterator[Delivery]:
        """Every message after `after_seq`, in order, without gaps or repeats, for ever.

        No acks, no position kept. Survives reconnects. `after_seq=-1`: only new ones.
        """

    async def dead_letters(self, durable: str = "*") -> list[Delivery]:
        """The dead letters (of one durable) that nobody replayed yet, oldest first.

        Their headers say why and where from (`shared.bus.deadletters`).
        """

    async def replay(self, durable: str, *, letter: int | None = None) -> int:
        """Hand every waiting dead letter of `durable` (or the one with this sequence in DLQ) to its
        handler again; returns how many.

        Whoever runs `work` for the durable takes them beside its stream, as if from the original
        place with tries from 1. One that fails again becomes a new dead letter.
        """

    async def state(self, stream: str) -> StreamState:
        """The server's figures of a stream."""

    def kv(self, bucket: str) -> Kv:
        """A bucket by its name (`leases`, `beats`, `keys`, ...)."""

    async def say(self, output: Output) -> None:
        """Send a log line or progress to LOGS; does not wait, may be lost in a cut."""

    async def ask(self, subject: str, data: bytes = b"", *, timeout_s: float = 2.0) -> bytes:
        """Ask a service; raises UnavailableError when nobody answers in time."""

    async def answer(self, subject: str, answerer: Answerer) -> None:
        """Answer questions on `subject` until the bus closes."""


class LeaveDelivery(Exception):  # noqa: N818 - a signal between handler and bus, not a failure
    """Raised by a fenced loser: neither ack nor nak, since both could hit the new delivery."""
