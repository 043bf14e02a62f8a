"""What this installation was pinned to at its first start: one audit key, one history."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog

from services.auditor.ledger import Record
from services.auditor.writer import Writer, told_when_lost
from shared.audit.merkle import Tree
from shared.audit.note import Checkpoint, NoteError
from shared.audit.succession import Succession
from shared.bus import Bus
from shared.bus.base import AUDIT_CKPT
from shared.errors import PlatformError

PAGE = 50_000
PATIENCE_S = 5.0

_log = structlog.get_logger()


class AuditKeyError(PlatformError):
    """The key in AUDIT_KEY_FILE is not the one that this log has been signed with."""

    code = "audit.key"
    default_fix = "restore the key folder of this installation; the recovery sheet has the key"


class AuditDivergedError(PlatformError):
    """The audit log does not lead to a checkpoint that was already sent out."""

    code = "audit.diverged"
    default_fix = "Postgres was changed or set back: run `holdfast rebuild --from-stream`"


async def check_key(connection: Any, succession: Succession) -> None:
    """Refuse a key that is neither the log's nor its checkpoints', nor was handed the log over to.

    Raises AuditKeyError, and UnavailableError while Postgres is away.
    """
    with told_when_lost():
        pinned = await connection.fetchval(
            "SELECT setting ->> 'audit_public_key' FROM platform WHERE id = 'self'"
        )
        note = await connection.fetchval(
            "SELECT note FROM audit_checkpoints ORDER BY size DESC LIMIT 1"
        )
    if pinned is not None and bytes.fromhex(pinned) not in succession.keys:
        raise AuditKeyError("this is not the audit key that the platform was set up with")
    if note is not None:
        opened(note, succession)


def opened(note: str, succession: Succession) -> Checkpoint:
    """The checkpoint in a note of ours; raises AuditKeyError for anybody else's."""
    try:
        return succession.open(note)
    except NoteError as error:
        raise AuditKeyError("the last checkpoint was signed with another audit key") from error


class Anchor:
    """The last checkpoint in AUDIT_CKPT: what Postgres holds must lead to it.

    A fresh Postgres gets there while it is filled from the stream; until then nothing is signed.
    """

    def __init__(self, bus: Bus, writer: Writer, succession: Succession) -> None:
        self._bus, self._writer, self._succession = bus, writer, succession
        self._grown = asyncio.Event()

    async def wrote(self, _records: Sequence[Record]) -> None:
        self._grown.set()

    async def last(self) -> Checkpoint | None:
        """As `last_sent`."""
        return await last_sent(self._bus, self._succession)

    async def reached(self, anchor: Checkpoint) -> None:
        """Wait until the tree is as large as `anchor`, then compare; raises AuditDivergedError."""
        while self._writer.seq < anchor.size:
            self._grown.clear()
            await self._grown.wait()
        await check_history(self._writer, anchor)


async def last_sent(bus: Bus, succession: Succession) -> Checkpoint | None:
    """What was sent out last; None when nothing was, or it cannot be read any more."""
    state = await bus.state(AUDIT_CKPT)
    if not state.messages:
        return None
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for delivery in bus.follow(AUDIT_CKPT, after_seq=state.last_seq - 1):
                return opened(delivery.data.decode(errors="replace"), succession)
    except TimeoutError:
        _log.error("last_checkpoint_unreadable")
    return None


async def check_history(writer: Writer, anchor: Checkpoint) -> None:
    """Whether the tree passes through a checkpoint that was sent out; it must be large enough.

    Raises AuditDivergedError.
    """
    tree = Tree()
    while tree.size < anchor.size:
        async with writer.transaction() as connection:
            rows = await connection.fetch(
                "SELECT leaf_hash FROM audit_logs WHERE n >= $1 AND n < $2 ORDER BY n",
                *(tree.size, min(tree.size + PAGE, anchor.size)),
            )
        tree.extend(row["leaf_hash"] for row in rows)
        if not rows:
            break
    if tree.root() != anchor.root:
        raise AuditDivergedError(f"the first {anchor.size} entries are not those that were signed")
