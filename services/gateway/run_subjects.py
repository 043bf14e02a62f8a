"""What runs are about: the database behind a run, and a name to show for it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, func, select, union_all

from services.gateway.callers import Caller
from services.gateway.rights import Right
from services.gateway.scope import visible
from shared.readmodel.tables import backups, command_executions, commands, restores, runs


def named_runs(caller: Caller) -> Select[Any]:
    """Every run with what it is about, each found by its key.

    A restore may come from a server outside the caller's scope: of that nothing is told.
    """
    joined = (
        runs.outerjoin(restores, restores.c.id == runs.c.object_id)
        .outerjoin(
            backups,
            and_(
                backups.c.id == func.coalesce(restores.c.backup_id, runs.c.object_id),
                visible(caller, Right.RUNS_READ, backups.c.server_id),
            ),
        )
        .outerjoin(command_executions, command_executions.c.id == runs.c.object_id)
        .outerjoin(commands, commands.c.id == command_executions.c.command_id)
    )
    return select(
        runs,
        backups.c.database_id,
        func.coalesce(backups.c.database_name, commands.c.name).label("object_name"),
        restores.c.target_name,
        restores.c.test,
    ).select_from(joined)


def runs_of(caller: Caller, database_id: UUID) -> Select[Any]:
    """The ids of the runs that backed up, read or restored a database."""
    mine = and_(
        backups.c.database_id == database_id,
        visible(caller, Right.RUNS_READ, backups.c.server_id),
    )
    restored = restores.join(backups, backups.c.id == restores.c.backup_id)
    found = union_all(
        select(backups.c.run_id).where(mine),
        select(restores.c.run_id).select_from(restored).where(mine),
    ).subquery()
    return select(found.c.run_id)
