"""Storing messages once: publish, and where the answer is missing or a refusal, look."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from uuid import uuid4

import msgspec
from nats.js.api import PubAck
from nats.js.errors import APIError

from shared import metrics, trace
from shared.bus.base import COMMANDS, EVENTS, Appended, Draft, Expect, WrongSequenceError
from shared.bus.connection import Connection
from shared.bus.errors import BusRefusedError, ConsumerGoneError, NoAnswerError
from shared.bus.gate import Gate
from shared.bus.link import Link
from shared.bus.reading import Reader, from_seq
from shared.bus.subjects import checked_headers, checked_subject, stream_of
from shared.errors import UnavailableError
from shared.messages import wire
from shared.messages.base import Fact, Message, Order, Output, Setting

WITHIN_S = 20.0
"""How long an append tries before it says that it does not know."""
ANSWER_WITHIN_S = 5.0
WRONG_SEQUENCE = frozenset({10071, 10164})
DUPLICATE_IN_BATCH = 10201
LAST_SEQ = "Nats-Expected-Last-Subject-Sequence"
LAST_SEQ_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"


class Raw(msgspec.Struct, frozen=True):
    """A message as it is published. The header `Nats-Msg-Id` tells it from all others."""

    subject: str
    headers: dict[str, str]
    data: bytes


def raw(message: Fact | Setting | Order | Output, source: str) -> Raw:
    """The message in bytes; raises InvalidInputError where its subject or a header is unsafe."""
    headers = checked_headers(wire.headers(message, source) | trace.headers())
    return Raw(checked_subject(message.subject), headers, wire.encode(message))


def expecting(expect: Expect | None) -> dict[str, str]:
    """The headers that make the server check what stands before it stores."""
    if expect is None:
        return {}
    headers = {LAST_SEQ: str(expect.seq)}
    if expect.subject is not None:
        headers[LAST_SEQ_SUBJECT] = checked_subject(expect.subject, wildcards=True)
    return headers


class Publisher:
    """Appends, each message once, whatever happens to the answers."""

    def __init__(
        self, connection: Connection, reader: Reader, gate: Gate | None, source: str
    ) -> None:
        self._connection, self._reader = connection, reader
        self._gate, self._source = gate, source

    async def append(self, message: Fact | Setting | Order, expect: Expect | None) -> Appended:
        """See `Bus.append`."""
        one = raw(message, self._source)
        stream = stream_of(one.subject)
        gated = self._gate if stream == EVENTS else None
        return _counted(await self.store(stream, one, expect, gated), message)

    async def store(
        self, stream: str, one: Raw, expect: Expect | None = None, gate: Gate | None = None
    ) -> Appended:
        """Store one message; raises as `Bus.append` does."""
        headers = {**one.headers, **expecting(expect)}

        async def publish(link: Link) -> PubAck:
            return await publish_raw(link, Raw(one.subject, headers, one.data))

        return await self._landed(stream, one, expect.seq if expect else 0, publish, gate)

    async def append_all(self, drafts: Sequence[Draft]) -> Appended:
        """See `Bus.append_all`."""
        batch = [(raw(draft.message, self._source), expecting(draft.expect)) for draft in drafts]

        async def publish(link: Link) -> PubAck:
            return await _publish_batch(link, [_with(one, more) for one, more in batch])

        landed = await self._landed(EVENTS, batch[-1][0], 0, publish, self._gate)
        return _counted(landed, *(draft.message for draft in drafts))

    async def _landed(
        self,
        stream: str,
        one: Raw,
        after_seq: int,
        publish: Callable[[Link], Awaitable[PubAck]],
        gate: Gate | None,
    ) -> Appended:
        deadline = asyncio.get_running_loop().time() + WITHIN_S
        # The other streams have no expectations, and their ids are kept for longer than we try.
        looks, unsure = stream in (EVENTS, COMMANDS), False
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    seq = await self._find(stream, one, after_seq) if unsure and looks else None
                    if seq is not None:
                        return Appended(seq, already=True)
                    if gate is not None:
                        await gate.passed()
                    ack = await publish(await self._connection.link())
                    return Appended(ack.seq, already=bool(ack.duplicate))
            except APIError as error:
                return await self._refused(error, stream, one, after_seq)
            except (NoAnswerError, ConsumerGoneError, TimeoutError) as error:
                unsure = True
                if asyncio.get_running_loop().time() >= deadline:
                    raise UnavailableError(
                        f"the event log did not confirm {one.subject}; it may still be stored"
                    ) from error
                await asyncio.sleep(0.1)

    async def _refused(self, error: APIError, stream: str, one: Raw, after_seq: int) -> Appended:
        """Landed before, or a conflict: only the stream can tell, never the refusal."""
        look = error.err_code in WRONG_SEQUENCE or error.err_code == DUPLICATE_IN_BATCH
        seq = await self._find(stream, one, after_seq) if look else None
        if seq is None and error.err_code not in WRONG_SEQUENCE:
            raise BusRefusedError(f"{one.subject}: {error.description}") from error
        if seq is None:
            raise WrongSequenceError(f"somebody appended to {one.subject} first") from None
        return Appended(seq, already=True)

    async def _find(self, stream: str, one: Raw, after_seq: int) -> int | None:
        start = {**from_seq(after_seq + 1), "headers_only": True}
        wanted = one.headers["Nats-Msg-Id"]
        for delivery in await self._reader.standing(stream, one.subject, start):
            if _id(delivery.headers) == wanted:
                return delivery.seq
        return None


def _counted(landed: Appended, *messages: Message) -> Appended:
    if not landed.already:
        for message in messages:
            metrics.said(message)
    return landed


def _id(headers: dict[str, str]) -> str | None:
    return headers.get("Nats-Msg-Id") or headers.get("ce-id")


async def publish_raw(link: Link, one: Raw) -> PubAck:
    """Publish and await the answer; raises APIError on a refusal, NoAnswerError without one."""
    publishing = link.client.jetstream().publish(
        one.subject, one.data, timeout=ANSWER_WITHIN_S, headers=one.headers
    )
    try:
        return await link.run(one.subject, publishing, ANSWER_WITHIN_S)
    except APIError as error:
        if (error.code or 0) >= 500:
            raise NoAnswerError(f"JetStream cannot store now: {error.description}") from error
        raise


async def _publish_batch(link: Link, batch: Sequence[Raw]) -> PubAck:
    name = uuid4().hex
    for place, one in enumerate(batch[:-1], start=1):
        numbered = {**one.headers, "Nats-Batch-Id": name, "Nats-Batch-Sequence": str(place)}
        if place > 1:
            await link.send(one.subject, one.data, headers=numbered)
            continue
        answer = await link.request(one.subject, one.data, headers=numbered)
        if answer.data:
            raise APIError.from_error(msgspec.json.decode(answer.data)["error"])
    last = {
        "Nats-Batch-Id": name,
        "Nats-Batch-Sequence": str(len(batch)),
        "Nats-Batch-Commit": "1",
    }
    return await publish_raw(link, _with(batch[-1], last))


def _with(one: Raw, headers: dict[str, str]) -> Raw:
    return Raw(one.subject, {**one.headers, **headers}, one.data)
