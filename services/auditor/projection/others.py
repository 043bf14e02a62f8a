"""Notifications and keys, and the facts that only the audit log keeps."""

from __future__ import annotations

from collections.abc import Iterator

from services.auditor.projection.change import Change, Projections, Row, new_row, remove
from shared.messages.base import Message
from shared.messages.facts import (
    AuditExported,
    BackupDownloaded,
    BackupDownloadFailed,
    BackupDownloadGranted,
    BackupDownloadRefused,
    BackupDownloadRequested,
    KeyErased,
    LetterRetried,
    LogRepaired,
    NotificationFailed,
    NotificationSent,
    ServiceCameBack,
    ServiceWentDown,
    UserSignedIn,
    UserSignedOut,
    UserSignInRefused,
)
from shared.readmodel.tables import notifications, sealed_keys


def sent(event: NotificationSent, seq: int) -> Iterator[Change]:
    return _notification(event, seq, {"status": "sent", "problem": None})


def failed(event: NotificationFailed, seq: int) -> Iterator[Change]:
    return _notification(event, seq, {"status": "failed", "problem": event.problem})


def _notification(
    event: NotificationSent | NotificationFailed, seq: int, outcome: Row
) -> Iterator[Change]:
    row = new_row(
        notifications,
        id=event.notification_id,
        channel_id=event.channel_id,
        fact_id=event.fact_id,
        fact_type=event.fact_type,
        tries=event.tries,
        at=event.at,
        version=seq,
    )

    def replace(_old: Row | None) -> Row:
        return row | outcome

    yield Change(notifications, (event.notification_id,), replace)


def key_erased(event: KeyErased, _seq: int) -> Iterator[Change]:
    yield Change(sealed_keys, (event.key_id,), remove)


PROJECTIONS: Projections = {
    NotificationSent: sent,
    NotificationFailed: failed,
    KeyErased: key_erased,
}

AUDIT_ONLY: frozenset[type[Message]] = frozenset(
    {
        UserSignedIn,
        UserSignInRefused,
        UserSignedOut,
        BackupDownloadRequested,
        BackupDownloadGranted,
        BackupDownloadRefused,
        BackupDownloaded,
        BackupDownloadFailed,
        AuditExported,
        LetterRetried,
        ServiceWentDown,
        ServiceCameBack,
        LogRepaired,
    }
)
