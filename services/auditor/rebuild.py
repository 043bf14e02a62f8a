"""Makes the read models anew from event_log, or forgets all so that the stream fills it again."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import msgspec

from services.auditor.comparison import Reading, StreamDamagedError, fault_of
from services.auditor.history import History
from services.auditor.ledger import record_of, recorded
from services.auditor.pins import last_sent, opened
from services.auditor.projecting import projected
from services.auditor.soundness import check_event_log
from services.auditor.writer import LEADER, PROJECTION
from shared.audit.merkle import Tree
from shared.audit.note import Checkpoint
from shared.audit.succession import Succession
from shared.bus import Bus
from shared.bus.base import EVENTS
from shared.readmodel import tables

KEPT = frozenset(
    {
        tables.event_log,
        tables.audit_logs,
        tables.audit_checkpoints,
        tables.checkpoints,
        tables.consumer_floors,
        tables.sealed_keys,
    }
)
"""Not read models: the log, what proves it, and what is mirrored from elsewhere."""

READ_MODELS = [table.name for table in tables.metadata.sorted_tables if table not in KEPT]


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """What came out: the root is the one that was signed before."""

    events: int
    root: str


async def rebuild(connection: Any) -> Rebuilt:
    """Empty the read models and replay event_log, in one transaction.

    Readers see the old rows until the new ones are there; a running auditor waits. Raises
    EventLogDamagedError when event_log is not what was signed.
    """
    async with connection.transaction():
        await connection.execute("SELECT FROM checkpoints WHERE name = $1 FOR UPDATE", LEADER)
        last = await check_event_log(connection)
        for name in READ_MODELS:
            await connection.execute(f"DELETE FROM {name}")  # noqa: S608 - our own names
        tree = Tree()
        async for events in History(connection).events(last):
            records = [record_of(event) for event in events]
            await projected(connection, records)
            tree.extend(record.leaf_hash for record in records)
    return Rebuilt(events=last, root=tree.root().hex())


async def forget(bus: Bus, connection: Any, succession: Succession) -> None:
    """Empty everything that the stream can fill again; the auditor then starts at event 1.

    Raises StreamDamagedError, and nothing changes, unless the whole stream can be read, holds all
    that would be forgotten, and leads to the last signed checkpoint; AuditKeyError when none of
    `succession` signed that.
    """
    await _prove(bus, connection, succession)
    async with connection.transaction():
        tail = await History(connection).tail()
        if (fault := fault_of(await bus.state(EVENTS), tail)) is not None:
            raise StreamDamagedError(fault)
        append_only = ("event_log", "audit_logs")
        for name in append_only:
            await connection.execute(f"ALTER TABLE {name} DISABLE TRIGGER append_only")
        names = ", ".join([*append_only, "audit_checkpoints", *READ_MODELS])
        await connection.execute(f"TRUNCATE {names}")
        for name in append_only:
            await connection.execute(f"ALTER TABLE {name} ENABLE TRIGGER append_only")
        await connection.execute("DELETE FROM checkpoints WHERE name = $1", PROJECTION)
        await connection.execute("UPDATE checkpoints SET seq = seq + 1 WHERE name = $1", LEADER)


async def _prove(bus: Bus, connection: Any, succession: Succession) -> None:
    """Read the whole stream: this may be the only good copy of the log, or no good one at all."""
    signed = await _last_signed(bus, connection, succession)
    last = (await bus.state(EVENTS)).last_seq
    if signed is None or last < signed.size:
        raise StreamDamagedError("no signed checkpoint proves that the stream is whole")
    tree, root = Tree(), Tree().root()
    async with aclosing(Reading(bus, 0)) as reading:
        for seq in range(1, last + 1):
            delivery = await reading.next(seq)
            if delivery.seq != seq:
                raise StreamDamagedError(f"event {seq} is missing: {delivery.seq} came instead")
            tree.append(recorded(delivery, succession.keys).leaf_hash)
            if seq == signed.size:
                root = tree.root()
    if root != signed.root:
        raise StreamDamagedError(f"the first {signed.size} events are not those that were signed")


async def _last_signed(bus: Bus, connection: Any, succession: Succession) -> Checkpoint | None:
    """The last checkpoint that was sent out, or else the last one that Postgres keeps."""
    sent = await last_sent(bus, succession)
    if sent is not None:
        return sent
    note = await connection.fetchval(
        "SELECT note FROM audit_checkpoints ORDER BY size DESC LIMIT 1"
    )
    return opened(note, succession) if note is not None else None
