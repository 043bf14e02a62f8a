"""Stores events again under the numbers they had."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from services.auditor.fork import Extra
from services.auditor.history import History
from services.auditor.line import Line
from services.auditor.stamp import stamped
from shared.archive.keys import SigningKey
from shared.bus.base import EVENTS
from shared.errors import UnavailableError

FROZEN = "repair."
IN_FLIGHT = 256
TRIES = 50
AGAIN_S = 0.2


class Numbered(msgspec.Struct, frozen=True):
    """What must become message `seq` of the stream."""

    seq: int
    subject: str
    headers: dict[str, str]
    data: bytes


async def republish(
    line: Line, history: History, key: SigningKey, last: int, extras: Sequence[Extra]
) -> None:
    """Fill the empty, frozen stream: events 1 to `last` from event_log, then the extras."""
    async for page in history.events(last):
        await _store_all(
            line,
            [Numbered(one.seq, one.subject, stamped(one, key), one.data) for one in page],
        )
    numbered = enumerate(extras, last + 1)
    await _store_all(
        line, [Numbered(seq, one.subject, one.headers, one.data) for seq, one in numbered]
    )


async def _store_all(line: Line, messages: Sequence[Numbered]) -> None:
    """Store them in order, many in flight; what did not land is sent again from there."""
    done, stuck = 0, 0
    while done < len(messages):
        await asyncio.gather(*(_send(line, one) for one in messages[done : done + IN_FLIGHT]))
        landed = max(done, await _last_seq(line) - messages[0].seq + 1)
        if landed == done:
            stuck += 1
            # Two events of one id: the server must forget the first before it takes the second.
            await asyncio.sleep(AGAIN_S)
        if stuck > TRIES:
            raise UnavailableError(f"the stream does not take event {messages[done].seq}")
        done = landed


async def _send(line: Line, message: Numbered) -> None:
    headers = {**message.headers, "Nats-Expected-Last-Sequence": str(message.seq - 1)}
    with suppress(UnavailableError):  # what landed is counted afterwards
        await line.send(FROZEN + message.subject, message.data, headers)


async def _last_seq(line: Line) -> int:
    info = await line.ask(f"STREAM.INFO.{EVENTS}")
    return int(info["state"]["last_seq"])
