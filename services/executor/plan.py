"""What an archive shall be, and what came of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import TypeAlias

import msgspec

from shared.archive.codecs import AnyCodec, Zstd
from shared.archive.cut import CutParameters
from shared.archive.frames import FRAME_BYTES, MAX_FRAME_BYTES
from shared.archive.keys import Recipient, WorkerIdentity
from shared.archive.manifest import About
from shared.errors import InvalidInputError

VOLUME_BYTES = 4 << 30
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)

Bytes: TypeAlias = AsyncIterator[bytes | bytearray]


class ArchivePlan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the byte pipeline needs to know before the first byte.

    `cut` is a full's; an increment is cut as its parent is. `checkpoint` is the latest audit
    checkpoint. `workers` threads compress.
    """

    backup_id: str
    attempt: str
    about: About
    database: str = ""
    recipients: tuple[Recipient, ...]
    worker: WorkerIdentity
    passphrase: str | None = None
    checkpoint: str = ""
    codec: AnyCodec = Zstd()
    cut: CutParameters = CutParameters()
    frame_bytes: int = FRAME_BYTES
    volume_bytes: int = VOLUME_BYTES
    workers: int = 2

    def __post_init__(self) -> None:
        """Refuse before the first byte what could only fail after the last."""
        right = {
            "backup_id": _ID.fullmatch(self.backup_id),
            "attempt": _ID.fullmatch(self.attempt),
            "recipients": self.recipients or self.passphrase,
            "frame_bytes": 0 < self.frame_bytes <= MAX_FRAME_BYTES,
            "volume_bytes": self.volume_bytes > 0,
            "workers": self.workers > 0,
        }
        for field, fine in right.items():
            if not fine:
                raise InvalidInputError(f"an archive cannot be written with this `{field}`")

    def __repr__(self) -> str:
        return f"ArchivePlan(backup_id={self.backup_id!r}, attempt={self.attempt!r})"

    @property
    def prefix(self) -> str:
        """The folder of this attempt in the store."""
        return f"{self.backup_id}/{self.attempt}"


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a run is: `stage` is data, check, index, log, envelope or manifest; bytes so far."""

    stage: str
    raw_bytes: int
    packed_bytes: int


class WrittenObject(msgspec.Struct, frozen=True, kw_only=True):
    """One object as it lies in the store: name within the attempt's folder, bytes, hex SHA-256."""

    name: str
    size: int
    sha256: str


class ArchiveReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a finished archive is. Sizes in bytes; the raw hash stands only inside the archive.

    `raw_bytes` is the whole dump, `fresh_bytes` what of it no parent held.
    """

    raw_bytes: int
    fresh_bytes: int
    packed_bytes: int
    stored_bytes: int
    manifest_sha256: str
    objects: tuple[WrittenObject, ...]
    seconds: dict[str, float]


def no_progress(_progress: Progress) -> None:
    """The default: nobody is told."""
