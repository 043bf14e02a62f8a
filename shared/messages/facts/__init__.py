"""Facts: what happened, in the past tense, in reading order."""

from __future__ import annotations

from typing import TypeAlias

from shared.messages.facts.accounts import (
    KeyAdopted,
    KeyErased,
    KeyExportRequested,
    KeyRetired,
    KeyRewrapped,
    KeyRotated,
    UserPasswordChanged,
    UserSessionsEnded,
    UserSignedIn,
    UserSignedOut,
    UserSignInRefused,
)
from shared.messages.facts.archives import (
    ArchiveCorrupted,
    ArchiveDeleted,
    ArchiveDeletionBegun,
    ArchiveExpired,
    ArchiveFailed,
    ArchiveReplicated,
    ArchiveRequested,
    ArchiveRewrapped,
    ArchiveUndeleted,
    ArchiveVerified,
)
from shared.messages.facts.backups import (
    BackupAttempted,
    BackupCancelled,
    BackupCompleted,
    BackupCorrupted,
    BackupDeleted,
    BackupDeleteRequested,
    BackupDeletionBegun,
    BackupExpired,
    BackupFailed,
    BackupGarbageDeleted,
    BackupHeld,
    BackupImported,
    BackupMoved,
    BackupReleased,
    BackupRequested,
    BackupRewrapped,
    BackupUndeleted,
    BackupVerified,
    BackupVerifyFailed,
    BackupVerifyRequested,
)
from shared.messages.facts.dispatch import DispatchPaused, DispatchResumed
from shared.messages.facts.downloads import (
    BackupDownloaded,
    BackupDownloadFailed,
    BackupDownloadGranted,
    BackupDownloadRefused,
    BackupDownloadRequested,
)
from shared.messages.facts.executions import (
    ExecutionFailed,
    ExecutionRequested,
)
from shared.messages.facts.groups import GroupFilling, GroupRelieved
from shared.messages.facts.notifications import (
    ChannelDisabled,
    ChannelTestRequested,
    NotificationFailed,
    NotificationSent,
    RedeliveryRequested,
)
from shared.messages.facts.objectives import (
    ObjectiveEndangered,
    ObjectiveMet,
    ObjectiveMissed,
)
from shared.messages.facts.platform import (
    AuditExported,
    LetterRetried,
    LogClockTurnedBack,
    LogRepaired,
    ServiceCameBack,
    ServiceWentDown,
)
from shared.messages.facts.restores import (
    RestoreAttempted,
    RestoreCancelled,
    RestoreCompleted,
    RestoreFailed,
    RestoreRequested,
)
from shared.messages.facts.runs import (
    RunCancelRequested,
    RunDispatched,
)
from shared.messages.facts.schedules import (
    ScheduleCaughtUp,
    ScheduleMissed,
    ScheduleWarned,
)
from shared.messages.facts.servers import (
    ServerDiscovered,
    ServerDiscoveryRequested,
    ServerHealthChanged,
    ServerTested,
    ServerTestRequested,
)
from shared.messages.facts.stores import (
    StoreFilling,
    StoreImported,
    StoreImportRequested,
    StoreRelieved,
    StoreTested,
    StoreTestRequested,
)
from shared.messages.facts.subscribers import SubscriberAdded, SubscriberRemoved

AnyFact: TypeAlias = (
    BackupRequested
    | BackupAttempted
    | BackupCompleted
    | BackupImported
    | BackupFailed
    | BackupCancelled
    | BackupVerifyRequested
    | BackupVerifyFailed
    | BackupVerified
    | BackupRewrapped
    | BackupCorrupted
    | BackupHeld
    | BackupReleased
    | BackupExpired
    | BackupDeleteRequested
    | BackupUndeleted
    | BackupDeletionBegun
    | BackupDeleted
    | BackupGarbageDeleted
    | BackupMoved
    | BackupDownloadRequested
    | BackupDownloadGranted
    | BackupDownloadRefused
    | BackupDownloaded
    | BackupDownloadFailed
    | StoreTestRequested
    | StoreTested
    | StoreImportRequested
    | StoreImported
    | GroupFilling
    | GroupRelieved
    | StoreFilling
    | StoreRelieved
    | ArchiveRequested
    | ArchiveReplicated
    | ArchiveRewrapped
    | ArchiveFailed
    | ArchiveVerified
    | ArchiveCorrupted
    | ArchiveExpired
    | ArchiveUndeleted
    | ArchiveDeletionBegun
    | ArchiveDeleted
    | RestoreRequested
    | RestoreAttempted
    | RestoreCompleted
    | RestoreFailed
    | RestoreCancelled
    | ExecutionRequested
    | ExecutionFailed
    | RunDispatched
    | RunCancelRequested
    | DispatchPaused
    | DispatchResumed
    | ScheduleWarned
    | ScheduleMissed
    | ScheduleCaughtUp
    | ServerTestRequested
    | ServerTested
    | ServerDiscoveryRequested
    | ServerDiscovered
    | ServerHealthChanged
    | ServiceWentDown
    | ServiceCameBack
    | ObjectiveEndangered
    | ObjectiveMissed
    | ObjectiveMet
    | NotificationSent
    | NotificationFailed
    | ChannelTestRequested
    | ChannelDisabled
    | RedeliveryRequested
    | UserSignedIn
    | UserSignInRefused
    | UserSignedOut
    | UserPasswordChanged
    | UserSessionsEnded
    | KeyErased
    | KeyRotated
    | KeyRewrapped
    | KeyAdopted
    | KeyExportRequested
    | KeyRetired
    | SubscriberAdded
    | SubscriberRemoved
    | AuditExported
    | LetterRetried
    | LogClockTurnedBack
    | LogRepaired
)
