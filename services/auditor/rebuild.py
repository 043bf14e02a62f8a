"""Makes the read models anew from event_log, or forgets all so that the stream fills it again."""

from __future__ import annotations

from typing import Any

import msgspec

from services.auditor.comparison import StreamDamagedError, fault_of
from services.auditor.history import History
from services.auditor.ledger import record_of
from services.auditor.projecting import projected
from services.auditor.soundness import check_event_log
from services.auditor.writer import LEADER, PROJECTION
from shared.audit.merkle import Tree
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


async def forget(bus: Bus, connection: Any) -> None:
    """Empty everything that the stream can fill again; the auditor then starts at event 1.

    Raises StreamDamagedError when the stream does not hold all that would be forgotten.
    """
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
