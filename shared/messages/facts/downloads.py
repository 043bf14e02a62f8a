"""Facts about downloads of backups: each is one link that works once."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from shared.keys.sealed import Sealed
from shared.messages.facts.backups import BackupFact
from shared.messages.values import Problem


class BackupDownloadRequested(BackupFact, frozen=True, kw_only=True):
    """Somebody wants the archive, or with `decrypt` the dump in it; worth nothing unaudited.

    `recipient` is the public half of a key made for this download alone (`hfpub1.`).
    """

    download_id: UUID
    decrypt: bool
    valid_until: datetime
    recipient: str = ""
    address: Sealed | None = None


class GrantedPart(msgspec.Struct, frozen=True, kw_only=True):
    """One archive that the backup builds on: where it lies, and its key, sealed likewise."""

    backup_id: UUID
    store_id: str
    prefix: str
    manifest_sha256: str
    sealed: str


class BackupDownloadGranted(BackupFact, frozen=True, kw_only=True):
    """The archive's key, sealed to the recipient that the request named; `chain`, parent first,
    are those that it builds on."""

    download_id: UUID
    sealed: str
    chain: list[GrantedPart] = []


class BackupDownloadRefused(BackupFact, frozen=True, kw_only=True):
    """The archive cannot be opened for the request."""

    download_id: UUID
    problem: Problem


class BackupDownloaded(BackupFact, frozen=True, kw_only=True):
    """The link was used, and its bytes began to flow: it works no more."""

    download_id: UUID
    decrypted: bool


class BackupDownloadFailed(BackupFact, frozen=True, kw_only=True):
    """The bytes did not all flow: what was received is not whole."""

    download_id: UUID
    problem: Problem
