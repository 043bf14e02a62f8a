"""Whether event_log and the audit log are what they say: before anything is built from them."""

from __future__ import annotations

from typing import Any

from services.auditor.history import PAGE, History
from services.auditor.ledger import record_of
from shared.audit.merkle import Tree
from shared.errors import PlatformError


class EventLogDamagedError(PlatformError):
    """Postgres does not hold what was once written there."""

    code = "log.copy_damaged"
    default_fix = "if the stream is intact, run `holdfast rebuild --from-stream`"


async def check_event_log(connection: Any) -> int:
    """Hash every event anew, up to the projected position, which is returned.

    Raises EventLogDamagedError unless they lead to the stored leaves and the stored root.
    """
    row = await connection.fetchrow("SELECT seq, edge FROM checkpoints WHERE name = 'projection'")
    if row is None:
        return 0
    tree = Tree()
    async for events in History(connection).events(row["seq"]):
        leaves = await connection.fetch(
            "SELECT leaf FROM audit_logs WHERE n BETWEEN $1 AND $2 ORDER BY n",
            *(tree.size, tree.size + PAGE - 1),
        )
        for event, leaf in zip(events, leaves, strict=False):
            record = record_of(event)
            if event.seq != tree.size + 1 or record.text != leaf["leaf"]:
                raise EventLogDamagedError(f"event {tree.size + 1} was changed in Postgres")
            tree.append(record.leaf_hash)
    if (tree.size, tree.edge) != (row["seq"], row["edge"]):
        raise EventLogDamagedError(f"Postgres holds {tree.size} of {row['seq']} sound events")
    return tree.size
