"""Backups that nobody has shown to be readable."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select

from services.launcher.doctor.findings import Finding, bad, doubtful, well
from shared.messages.base import now
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import backups

IN_TIME = timedelta(hours=24)


async def proofs(model: ReadModel) -> list[Finding]:
    """Corrupt ones, ones not read again in time, and databases without any that was."""
    return [await _corrupt(model), await _unread(model), await _without(model)]


async def _corrupt(model: ReadModel) -> Finding:
    corrupt = backups.c.proof == "corrupt"
    row = await model.one(select(func.count()).where(backups.c.status == "completed", corrupt))
    if row is not None and row[0]:
        fix = "look at the stores' disks, and back those databases up again"
        return bad("backups", f"{row[0]} are corrupt", fix)
    return well("backups", "none is known to be corrupt")


async def _unread(model: ReadModel) -> Finding:
    query = select(func.count()).where(
        backups.c.status == "completed",
        backups.c.proof == "unverified",
        backups.c.completed_at < now() - IN_TIME,
    )
    row = await model.one(query)
    if row is not None and row[0]:
        says = f"{row[0]} have not been read again a day after they were made"
        return doubtful("verification", says, "see storage's log, or `holdfast backup verify ID`")
    return well("verification", "every backup was read again within a day")


async def _without(model: ReadModel) -> Finding:
    """The newest of such a database is older than a day, so its proof is not just on its way."""
    proven = func.count().filter(backups.c.proof == "verified")
    query = (
        select(backups.c.database_name)
        .where(backups.c.status == "completed")
        .group_by(backups.c.database_id, backups.c.database_name)
        .having(proven == 0, func.min(backups.c.completed_at) < now() - IN_TIME)
        .order_by(backups.c.database_name)
        .limit(5)
    )
    names = [row.database_name for row in await model.rows(query)]
    if names:
        fix = "back them up again, then `holdfast backup verify ID --restore`"
        return bad("proof", f"no backup is proven of: {', '.join(names)}", fix)
    return well("proof", "every database with backups has a proven one")
