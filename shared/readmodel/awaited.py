"""Copies of completed backups that are to stand in further stores and do not yet."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import ColumnElement, Subquery, func, select, true, union_all

from shared.messages.base import now
from shared.readmodel.tables import archives, backups

ASKED_FOR_WITHIN = timedelta(days=2)
"""Storage asks for the copies of a backup as soon as it completed; older ones it will not."""


def awaited_copies(of: ColumnElement[bool] | None = None) -> Subquery:
    """Their `store_id`, `server_id` and `stored_bytes`; `of` narrows the backups."""
    which = true() if of is None else of
    asked = (
        select(archives.c.store_id, backups.c.server_id, backups.c.stored_bytes)
        .join(backups, backups.c.id == archives.c.backup_id)
        .where(archives.c.status == "requested", backups.c.delete_requested_at.is_(None), which)
    )
    named = func.jsonb_array_elements_text(backups.c.further_store_ids).table_valued("value")
    further = named.lateral("further")
    known = select(archives.c.id).where(
        archives.c.backup_id == backups.c.id, archives.c.store_id == further.c.value
    )
    coming = (
        select(further.c.value.label("store_id"), backups.c.server_id, backups.c.stored_bytes)
        .select_from(backups)
        .join(further, true())
        .where(
            backups.c.status == "completed",
            backups.c.requested_at > now() - ASKED_FOR_WITHIN,
            further.c.value != backups.c.store_id,
            ~known.exists(),
            which,
        )
    )
    return union_all(asked, coming).subquery("awaited")
