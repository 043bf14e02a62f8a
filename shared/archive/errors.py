"""What can be wrong with an archive, one class each, so that a reader can act on it."""

from __future__ import annotations

from http import HTTPStatus

from shared.errors import PlatformError


class ArchiveError(PlatformError):
    """The archive cannot be read, or not be believed."""

    code = "archive.unreadable"
    status = HTTPStatus.UNPROCESSABLE_ENTITY


class UnsupportedError(ArchiveError):
    """The archive is of a version, suite or codec this reader does not know."""

    code = "archive.unsupported"
    default_fix = "read it with the release that wrote it, or a newer one"


class NoKeyError(ArchiveError):
    """The envelope holds no stanza for the key given."""

    code = "archive.no_key"
    default_fix = "use the platform's key, the recovery key or the passphrase it was sealed to"


class WrongKeyError(ArchiveError):
    """The key or passphrase does not open this archive."""

    code = "archive.wrong_key"
    default_fix = "check that the key belongs to this archive"


class EnvelopeTamperedError(ArchiveError):
    """The envelope was changed, or belongs to another archive."""

    code = "archive.envelope_tampered"
    default_fix = "use another copy of this archive"


class ChunkCorruptError(ArchiveError):
    """Chunk number `chunk` (16 KiB each, from 0) of an encrypted object was changed."""

    code = "archive.chunk_corrupt"
    default_fix = "use another copy of this archive, or an older backup"

    def __init__(self, role: str, chunk: int) -> None:
        super().__init__(f"chunk {chunk} of `{role}` is not what was written")
        self.chunk = chunk


class ObjectChangedError(ArchiveError):
    """An object's bytes differ from the hash in the signed manifest."""

    code = "archive.object_changed"
    default_fix = "use another copy of this archive, or an older backup"


class TruncatedError(ArchiveError):
    """The archive ends before its end, or a part of it is missing."""

    code = "archive.truncated"
    default_fix = "use another copy of this archive, or an older backup"


class TrailerMismatchError(ArchiveError):
    """The content differs from what its own trailer or tables say."""

    code = "archive.trailer_mismatch"
    default_fix = "use another copy of this archive, or an older backup"


class ParentMissingError(ArchiveError):
    """An archive this one builds on is not there."""

    code = "archive.parent_missing"
    default_fix = "restore from a full backup"


class UntrustedError(ArchiveError):
    """The manifest is not signed by a worker the trusted platform certified, or was changed."""

    code = "archive.untrusted"
    default_fix = "check the platform's fingerprint on the recovery sheet"
