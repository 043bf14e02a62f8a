"""What the platform stands on: its processes, the streams of the bus, the versions of what runs."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Iterable, Iterator
from contextlib import suppress

import msgspec
from sqlalchemy import func, select

from shared.bus import Bus
from shared.bus.base import AUDIT_CKPT, DLQ, EVENTS, LOGS, Entry
from shared.readmodel.reader import ReadModel
from shared.serving import Beat
from shared.version import version

SHOWN = (EVENTS, LOGS, DLQ, AUDIT_CKPT)
"""Orders are seen as runs; the gateway may not look into COMMANDS."""
_POSTGRESQL = select(func.current_setting("server_version").label("version"))


class StreamLevel(msgspec.Struct, frozen=True, kw_only=True):
    """A stream: its newest sequence, what is kept, and what is gone from its middle."""

    name: str
    last_seq: int
    messages: int
    deleted: int


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """A process that beat lately. `version` is empty where it does not say."""

    service: str
    replica: str
    host: str
    version: str


def replicas(alive: Iterable[Entry]) -> list[Replica]:
    """The processes of these beats."""
    return [replica for one in alive for replica in _said(one.value or b"")]


def _said(beat: bytes) -> Iterator[Replica]:
    with suppress(msgspec.MsgspecError):  # of a version to come: it counts, and no more is known
        one = msgspec.json.decode(beat, type=Beat)
        yield Replica(service=one.service, replica=one.replica, host=one.host, version=one.version)


async def streams(bus: Bus) -> list[StreamLevel]:
    """The server's figures of each stream that the gateway may see."""
    states = await asyncio.gather(*(bus.state(name) for name in SHOWN))
    return [
        StreamLevel(
            name=name, last_seq=state.last_seq, messages=state.messages, deleted=state.deleted
        )
        for name, state in zip(SHOWN, states, strict=True)
    ]


async def versions(read_model: ReadModel) -> dict[str, str]:
    """Of this replica, its interpreter, and the read model's server."""
    row = await read_model.one(_POSTGRESQL)
    return {
        "holdfast": version(),
        "python": platform.python_version(),
        "postgresql": str(row.version).split()[0] if row else "",
    }
