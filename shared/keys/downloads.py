"""An archive's key on its way to whoever downloads the dump: sealed to a key of that download.

It stands in the log for ever, so the sealing is the hybrid one of envelopes (ML-KEM-768 with
X25519), and the private half lives some minutes only.
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag

from shared.archive.encoding import from_text, to_text
from shared.archive.keys import Recipient, RecipientKey
from shared.errors import PlatformError
from shared.messages.facts import BackupDownloadRequested


class SealedDownloadError(PlatformError):
    """The archive's key was not sealed for this download."""

    code = "download.unreadable"
    default_fix = "ask for the download again"


def seal_archive_key(archive_key: bytes, request: BackupDownloadRequested) -> str:
    """The key as `BackupDownloadGranted` holds it; InvalidInputError where no key was named."""
    return to_text(Recipient.parse(request.recipient).seal(archive_key, _context(request)))


def open_archive_key(sealed: str, key: RecipientKey, request: BackupDownloadRequested) -> bytes:
    """The archive's key; raises SealedDownloadError."""
    try:
        return key.open(from_text(sealed), _context(request))
    except (InvalidTag, ValueError):
        raise SealedDownloadError("the archive's key is not for this download") from None


def _context(request: BackupDownloadRequested) -> bytes:
    return f"holdfast/download@v1\0{request.id}\0{request.backup_id}".encode()
