"""Re-creates a damaged EVENTS from event_log, number by number, and lets every durable go on.

While it is re-created the stream hears only `repair.evt.>` and `repair.cfg.>`, and takes the first
word off: nobody else can write, and every event still gets its own subject.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from services.auditor.floors import save, saved
from services.auditor.fork import Extra, keep_pending, settle, survey
from services.auditor.history import History
from services.auditor.line import Durable, Line
from services.auditor.publishing import FROZEN, republish
from services.auditor.soundness import check_event_log
from shared.archive.keys import SigningKey
from shared.bus import Bus
from shared.bus.api import ApiError
from shared.bus.base import EVENTS, Expect
from shared.bus.layout import streams
from shared.messages.base import consequence
from shared.messages.facts import LogRepaired
from shared.messages.values import Problem

SECOND_NS = 1_000_000_000


class Repaired(msgspec.Struct, frozen=True, kw_only=True):
    """What a repair did. `restored`: events that the stream had lost or changed."""

    incident_id: UUID
    cause: str
    last_seq: int
    restored: int
    appended_after_fork: int
    durables: int
    fork_file: str | None = None


class Workshop(msgspec.Struct, frozen=True):
    """What a repair works with: bootstrap's bus and line, Postgres, and the audit key.

    `folder` keeps the fork's events until they are appended.
    """

    bus: Bus
    line: Line
    connection: Any
    key: SigningKey
    folder: Path


async def repair(shop: Workshop, *, cause: str) -> Repaired:
    """Make the stream what event_log says, then append what only the stream had.

    An interrupted repair is simply run again. Raises EventLogDamagedError when Postgres is not
    sound either: then nothing is touched.
    """
    bus, line, connection, folder = shop.bus, shop.line, shop.connection, shop.folder
    incident, history = uuid7(), History(connection)
    last = await check_event_log(connection)
    config = await _config(line)
    found = await survey(bus, line, history, last)
    extras = keep_pending(folder, found.extras)
    durables = await _durables(line, connection, last, found.end, extras)
    await _recreate(line, config, durables)
    await republish(line, history, shop.key, last, extras)
    await line.ask(f"STREAM.UPDATE.{EVENTS}", config)
    repaired = Repaired(
        incident_id=incident,
        cause=cause,
        last_seq=last,
        restored=last - found.equal,
        appended_after_fork=len(extras),
        durables=len(durables),
        fork_file=settle(folder, incident),
    )
    await _say(bus, repaired)
    return repaired


async def _config(line: Line) -> dict[str, Any]:
    """The stream as it was configured, or as our files say when it is gone or still frozen."""
    written = next(one for one in streams() if one["name"] == EVENTS)
    try:
        info = await line.ask(f"STREAM.INFO.{EVENTS}")
    except ApiError:
        return written
    config: dict[str, Any] = info["config"]
    if config["subjects"] == written["subjects"]:
        return config
    return {**written, "num_replicas": config.get("num_replicas", 1)}


async def _durables(
    line: Line, connection: Any, last: int, end: int, extras: Sequence[Extra]
) -> list[Durable]:
    """Every durable with the floor it goes on from, and in `config` how it was made.

    The server's floor counts only for one that was never saved: damage may have set it back.
    """
    try:
        present = {one.name: one for one in await line.durables(end)}
    except ApiError:
        present = {}
    known = {one.name for one in await saved(connection)}
    await save(connection, [one for name, one in present.items() if name not in known])
    return [
        msgspec.structs.replace(one, floor=restart(one, present.get(one.name), last, end, extras))
        for one in await saved(connection)
    ]


def restart(
    before: Durable, present: Durable | None, last: int, end: int, extras: Sequence[Extra]
) -> int:
    """The floor from which a durable goes on.

    One that was done with all `last` events before the damage may have dealt with extras since,
    under their old numbers (up to `end`): those are not repeated to it.
    """
    if before.floor < last or present is None or present.floor > end:
        return min(before.floor, last)
    return last + sum(extra.seq <= present.floor for extra in extras)


async def _recreate(line: Line, config: dict[str, Any], durables: list[Durable]) -> None:
    frozen = {
        **config,
        "subjects": [FROZEN + subject for subject in config["subjects"]],
        "subject_transform": {"src": f"{FROZEN}>", "dest": ">"},
        "duplicate_window": SECOND_NS // 10,
    }
    with suppress(ApiError):  # damage can have taken the stream itself
        await line.ask(f"STREAM.DELETE.{EVENTS}")
    await line.ask(f"STREAM.CREATE.{EVENTS}", frozen)
    for durable in durables:
        await _restore(line, durable)


async def _restore(line: Line, durable: Durable) -> None:
    body = {"stream_name": EVENTS, "config": durable.config}
    await line.ask(f"CONSUMER.DURABLE.CREATE.{EVENTS}.{durable.name}", body)
    await line.ask(f"CONSUMER.RESET.{EVENTS}.{durable.name}", {"seq": durable.floor + 1})


async def _say(bus: Bus, repaired: Repaired) -> None:
    problem = Problem(code="log.damaged", cause=repaired.cause)
    fact = LogRepaired(
        id=consequence(repaired.incident_id, "repaired"),
        actor="service:auditor",
        incident_id=repaired.incident_id,
        problem=problem,
        last_seq=repaired.last_seq,
        restored=repaired.restored,
        appended_after_fork=repaired.appended_after_fork,
    )
    await bus.append(fact, expect=Expect(0))
