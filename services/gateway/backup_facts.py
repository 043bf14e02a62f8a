"""Facts about a backup that must not land beside another one: what is decided on still stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias
from uuid import UUID

from services.gateway.appending import Landed, land
from services.gateway.dependencies import Dependencies
from shared.bus import Draft, Expect, WrongSequenceError
from shared.errors import ConflictError
from shared.messages.facts.backups import BackupFact
from shared.messages.wire import AnyMessage

TRIES = 5

Facts: TypeAlias = Sequence[tuple[int, AnyMessage]]
"""The last fact of each kind about one backup, each with its place in the log."""


async def land_on(
    deps: Dependencies, backup_id: UUID, decide: Callable[[Facts], BackupFact | None]
) -> Landed | None:
    """Append what `decide` makes of the backup's facts, unless that is nothing.

    It lands only if no other fact of the backup came meanwhile; else `decide` is asked again.
    Raises ConflictError when that happens TRIES times.
    """
    subject = f"evt.backup.*.*.{backup_id}"
    for _ in range(TRIES):
        last = await deps.bus.last_of(subject)
        fact = decide([(one.seq, one.message) for one in last])
        if fact is None:
            return None
        try:
            return await land(deps, Draft(fact, Expect(last[-1].seq if last else 0, subject)))
        except WrongSequenceError:
            continue
    raise ConflictError("the backup changes at this moment", fix="try again")
