"""The only writer of Postgres: one transaction per batch, and never beside another auditor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

import asyncpg

from services.auditor.ledger import AUDIT_LOGS, EVENT_LOG, Record
from services.auditor.projecting import projected
from shared.audit.merkle import Tree
from shared.bus.lease import LeaseLostError
from shared.errors import PlatformError, UnavailableError
from shared.messages.base import now
from shared.readmodel.url import plain_url

PROJECTION, LEADER = "projection", "leader"
_PAUSED_MS = 2000
"""A paused auditor loses its open transaction, and the locks in it, after this long."""

LOST = (
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InternalClientError,  # the server's goodbye was read, the end of the stream not yet
    OSError,
)
"""What a connection raises when Postgres goes away."""


class FencedError(LeaseLostError):
    """Another auditor took over; this one must not write any more."""

    code = "auditor.fenced"
    default_fix = "nothing: a standby is active"


class LogGapError(PlatformError):
    """The stream went on without an event that must have been there."""

    code = "log.gap"
    default_fix = "run `holdfast repair`"


@contextmanager
def told_when_lost() -> Iterator[None]:
    """Inside the block, a connection that breaks raises UnavailableError."""
    try:
        yield
    except LOST as error:
        raise UnavailableError("the connection to Postgres was lost") from error


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """A connection to `postgresql://...`; raises UnavailableError."""
    timeout = {"idle_in_transaction_session_timeout": str(_PAUSED_MS)}
    try:
        connection = await asyncpg.connect(plain_url(url), server_settings=timeout, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise UnavailableError("Postgres does not answer") from error
    try:
        yield connection
    finally:
        # A clean close waits for the server; after a failure there may be none.
        connection.terminate()


class Writer:
    """Writes as the auditor of one epoch; `FencedError` from the moment a later one began."""

    def __init__(self, connection: Any, epoch: int, tree: Tree) -> None:
        self._connection = connection
        self._epoch = epoch
        self._turn = asyncio.Lock()
        self.tree = tree

    @property
    def seq(self) -> int:
        """The last sequence that is projected: every event is one leaf."""
        return self.tree.size

    @classmethod
    async def take_over(cls, connection: Any) -> Writer:
        """Begin a new epoch at the position that the last one reached. Raises UnavailableError."""
        with told_when_lost():
            return cls(connection, *await cls._next_epoch(connection))

    @staticmethod
    async def _next_epoch(connection: Any) -> tuple[int, Tree]:
        async with connection.transaction():
            epoch = await connection.fetchval(
                "INSERT INTO checkpoints (name, seq, at) VALUES ($1, 1, $2) "
                "ON CONFLICT (name) DO UPDATE SET seq = checkpoints.seq + 1, at = $2 RETURNING seq",
                *(LEADER, now()),
            )
            await connection.execute(
                "INSERT INTO checkpoints (name, seq, at) VALUES ($1, 0, $2) ON CONFLICT DO NOTHING",
                *(PROJECTION, now()),
            )
            # Waits for what the last leader is just committing; it commits nothing after that.
            row = await connection.fetchrow(
                "SELECT seq, edge FROM checkpoints WHERE name = $1 FOR UPDATE", PROJECTION
            )
        return epoch, Tree(row["seq"], row["edge"])

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        """A transaction of the current leader; one at a time. Raises UnavailableError, too."""
        with told_when_lost():
            async with self._turn, self._connection.transaction():
                epoch = await self._connection.fetchval(
                    "SELECT seq FROM checkpoints WHERE name = $1 FOR SHARE", LEADER
                )
                if epoch != self._epoch:
                    raise FencedError("another auditor took over")
                yield self._connection

    async def write(self, records: Sequence[Record]) -> None:
        """Commit the next events; all of them, or none when it raises.

        What cannot be projected is kept raw, marked, and changes no row.
        """
        self._check_order(records)
        tree = Tree(self.tree.size, self.tree.edge)
        tree.extend(record.leaf_hash for record in records)
        async with self.transaction() as connection:
            await self._move(connection, tree)
            done = await projected(connection, records)
            await _copy(connection, "event_log", EVENT_LOG, [one.log_row() for one in done])
            await _copy(connection, "audit_logs", AUDIT_LOGS, [one.audit_row() for one in done])
        self.tree = tree

    def _check_order(self, records: Sequence[Record]) -> None:
        for expected, record in enumerate(records, self.seq + 1):
            if record.event.seq != expected:
                raise LogGapError(f"event {expected} is missing before {record.event.seq}")

    async def _move(self, connection: Any, tree: Tree) -> None:
        moved = await connection.execute(
            "UPDATE checkpoints SET seq = $1, edge = $2, at = $3 WHERE name = $4 AND seq = $5",
            *(tree.size, tree.edge, now(), PROJECTION, self.tree.size),
        )
        if moved != "UPDATE 1":
            raise FencedError("the projection moved without this auditor")


async def _copy(
    connection: Any, table: str, columns: tuple[str, ...], rows: list[tuple[Any, ...]]
) -> None:
    await connection.copy_records_to_table(table, records=rows, columns=columns)


async def store_checkpoint(writer: Writer, size: int, root: bytes, note: str, at: datetime) -> None:
    """Keep a signed note; a later one of the same size replaces it."""
    async with writer.transaction() as connection:
        await connection.execute(
            "INSERT INTO audit_checkpoints (size, root, note, at) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (size) DO UPDATE SET note = EXCLUDED.note, at = EXCLUDED.at",
            *(size, root, note, at),
        )
