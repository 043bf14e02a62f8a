"""The read model as a pure function of the log: event -> rows."""

from __future__ import annotations

from collections.abc import Iterable

from services.auditor.projection import (
    archives,
    backups,
    dispatch,
    executions,
    notifications,
    others,
    restores,
    runs,
    schedules,
    servers,
    settings,
    stores,
)
from services.auditor.projection.change import Change, Projections
from services.auditor.projection.others import AUDIT_ONLY
from shared.messages.base import Message

PROJECTIONS: Projections = {
    **backups.PROJECTIONS,
    **archives.PROJECTIONS,
    **restores.PROJECTIONS,
    **executions.PROJECTIONS,
    **runs.PROJECTIONS,
    **dispatch.PROJECTIONS,
    **schedules.PROJECTIONS,
    **servers.PROJECTIONS,
    **stores.PROJECTIONS,
    **settings.PROJECTIONS,
    **notifications.PROJECTIONS,
    **others.PROJECTIONS,
}

__all__ = ["AUDIT_ONLY", "PROJECTIONS", "Change", "changes_of"]


def changes_of(message: Message, seq: int) -> Iterable[Change]:
    """What `message`, stored as `seq`, changes; nothing for what only the audit log keeps."""
    projection = PROJECTIONS.get(type(message))
    return projection(message, seq) if projection else ()
