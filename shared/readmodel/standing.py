"""Conditions for backups that stand: in their own store, or in a further one."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, or_, select

from shared.readmodel.tables import archives, backups

_ENDED_WELL = ("completed", "expired", "deleted")
"""What was completed once; its copies may outlive it."""


def stands() -> ColumnElement[bool]:
    """Whole or not, an archive of it is kept."""
    copied = select(archives.c.id).where(
        archives.c.backup_id == backups.c.id, archives.c.status == "stored"
    )
    return or_(
        backups.c.status == "completed",
        and_(backups.c.status.in_(("expired", "deleted")), copied.exists()),
    )


def is_whole() -> ColumnElement[bool]:
    """The archive in its own store stands, and is not known to be damaged."""
    return and_(backups.c.status == "completed", backups.c.proof != "corrupt")


def is_good() -> ColumnElement[bool]:
    """An archive of it is kept that is not known to be damaged, and nobody wants it deleted."""
    copied = select(archives.c.id).where(
        archives.c.backup_id == backups.c.id,
        archives.c.status == "stored",
        archives.c.proof != "corrupt",
    )
    return and_(
        or_(is_whole(), and_(backups.c.status.in_(_ENDED_WELL), copied.exists())),
        backups.c.delete_requested_at.is_(None),
    )
