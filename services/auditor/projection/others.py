"""Keys, and the facts that only the audit log keeps."""

from __future__ import annotations

from collections.abc import Iterator

from services.auditor.projection.change import Change, Projections, remove
from shared.messages.base import Message
from shared.messages.facts import (
    AuditExported,
    BackupDownloaded,
    BackupDownloadFailed,
    BackupDownloadGranted,
    BackupDownloadRefused,
    BackupDownloadRequested,
    GroupFilling,
    GroupRelieved,
    KeyAdopted,
    KeyErased,
    KeyExportRequested,
    KeyRetired,
    KeyRewrapped,
    KeyRotated,
    LetterRetried,
    LogClockTurnedBack,
    LogRepaired,
    ObjectiveEndangered,
    ObjectiveMet,
    ObjectiveMissed,
    ScheduleCaughtUp,
    ScheduleMissed,
    ServiceCameBack,
    ServiceWentDown,
    StoreFilling,
    StoreImported,
    StoreImportRequested,
    StoreRelieved,
    StoreTestRequested,
    SubscriberAdded,
    SubscriberRemoved,
    UserPasswordChanged,
    UserSessionsEnded,
    UserSignedIn,
    UserSignedOut,
    UserSignInRefused,
)
from shared.readmodel.tables import sealed_keys


def key_erased(event: KeyErased, _seq: int) -> Iterator[Change]:
    yield Change(sealed_keys, (event.key_id,), remove)


PROJECTIONS: Projections = {
    KeyErased: key_erased,
}

AUDIT_ONLY: frozenset[type[Message]] = frozenset(
    {
        ObjectiveEndangered,
        ObjectiveMissed,
        ObjectiveMet,
        StoreTestRequested,
        GroupFilling,
        GroupRelieved,
        StoreFilling,
        StoreRelieved,
        UserSignedIn,
        UserSignInRefused,
        UserSignedOut,
        UserPasswordChanged,
        UserSessionsEnded,
        BackupDownloadRequested,
        BackupDownloadGranted,
        BackupDownloadRefused,
        BackupDownloaded,
        BackupDownloadFailed,
        AuditExported,
        KeyRotated,
        KeyRewrapped,
        KeyAdopted,
        KeyExportRequested,
        KeyRetired,
        StoreImportRequested,
        StoreImported,
        ScheduleCaughtUp,
        ScheduleMissed,
        SubscriberAdded,
        SubscriberRemoved,
        LetterRetried,
        ServiceWentDown,
        ServiceCameBack,
        LogClockTurnedBack,
        LogRepaired,
    }
)
