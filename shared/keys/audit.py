"""The audit key with the line of keys that led to it, as the auditor uses them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from shared.archive.keys import SigningKey
from shared.audit.note import NoteError
from shared.audit.succession import Succession
from shared.keys.reading import KeyFileError, read_handovers, read_signing_key


class AuditKey(msgspec.Struct, frozen=True):
    """`signing` is the newest of `succession`."""

    signing: SigningKey
    succession: Succession

    @classmethod
    def alone(cls, signing: SigningKey) -> AuditKey:
        """A log's first key."""
        return cls(signing, Succession.of(signing.public))


def read_audit_key(path: Path) -> AuditKey:
    """The key in an `audit_key` file and what lies beside it; raises KeyFileError."""
    signing = read_signing_key(path)
    try:
        succession = Succession.of(signing.public, read_handovers(path))
    except NoteError as error:
        raise KeyFileError(
            f"the log was never handed over to this audit key: {error.cause}"
        ) from error
    if succession.newest != signing.public:
        raise KeyFileError("the audit key is an older one than the last hand-over names")
    return AuditKey(signing, succession)
