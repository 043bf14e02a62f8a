"""The read side of the read model: connections of a role that cannot write."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import Executable, Row, select
from sqlalchemy.exc import ArgumentError, CompileError, DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn

from shared.errors import InvalidInputError, PlatformError, UnavailableError
from shared.readmodel.progress import Progress
from shared.readmodel.tables import checkpoints
from shared.readmodel.url import engine_url

PROJECTION = "projection"
"""The name of the checkpoint that says how far the log is projected."""
_POSITION = select(checkpoints.c.seq).where(checkpoints.c.name == PROJECTION)


class NotProjectedError(UnavailableError):
    """The projection did not get there in time; what was appended is safe in the log."""

    code = "projection.behind"
    default_fix = "look again in a moment"


class QueryRefusedError(PlatformError):
    """Postgres answers, and will not answer this query: no such table, say, or no right to it."""

    code = "readmodel.refused"
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    retryable = True  # during an update the tables and a service may be of two versions
    default_fix = "bring every service to one version; if they are, this is a bug to report"


_AWAY = ("08", "53", "57")
"""The classes of SQLSTATE that say nothing of the query: connection, resources, operator."""


def _named(error: SQLAlchemyError) -> PlatformError:
    """What an error of a query is to whoever asks."""
    away = UnavailableError("the read model does not answer")
    if isinstance(error, CompileError | ArgumentError):
        return QueryRefusedError("the read model was asked what cannot be asked")
    if not isinstance(error, DBAPIError) or error.connection_invalidated:
        return away
    if isinstance(getattr(error.orig, "__cause__", None), asyncpg.DataError):
        return InvalidInputError("a value is none that could be stored")
    state = getattr(error.orig, "sqlstate", None)
    if not state or state.startswith(_AWAY):
        return away
    return QueryRefusedError(f"the read model refuses a query ({state})")


class ReadModel:
    """Queries of the projected state."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._progress = Progress(self.position)

    async def rows(self, query: Executable) -> Sequence[Row[Any]]:
        """All rows of `query`; raises UnavailableError while Postgres is away.

        A value that no column can hold (a NUL in a text, say) raises InvalidInputError: it came
        from whoever asks, and asking again would not help. What is wrong with the query itself
        raises QueryRefusedError.
        """
        try:
            return await self._told(query)
        except SQLAlchemyError as error:
            named = _named(error)
            raise named from (None if isinstance(named, InvalidInputError) else error)
        except OSError as error:
            raise UnavailableError("the read model does not answer") from error

    async def _told(self, query: Executable) -> Sequence[Row[Any]]:
        """One round trip: no transaction around a single statement, and no ping before it.

        So a connection may turn out to be dead; the pool throws all of that age away then, and
        reading once more is harmless.
        """
        try:
            return await greenlet_spawn(self._read, query)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        return await greenlet_spawn(self._read, query)

    def _read(self, query: Executable) -> Sequence[Row[Any]]:
        """In one greenlet; through an AsyncConnection it would be three, and a task."""
        with self._engine.sync_engine.connect() as connection:
            return connection.execute(query).all()

    async def portions(
        self, query: Executable, *, size: int = 1000
    ) -> AsyncIterator[Sequence[Row[Any]]]:
        """All rows of a long answer, so many at a time: others have their turn between.

        Raises as `rows` does.
        """
        try:
            async with self._engine.connect() as connection:
                # A cursor lives in a transaction, and sees the state of its beginning.
                await connection.execution_options(isolation_level="READ COMMITTED")
                told = await connection.stream(query, execution_options={"yield_per": size})
                async for some in told.partitions():
                    yield some
        except SQLAlchemyError as error:
            raise _named(error) from error
        except OSError as error:
            raise UnavailableError("the read model does not answer") from error

    async def one(self, query: Executable) -> Row[Any] | None:
        """The first row, or None."""
        rows = await self.rows(query)
        return rows[0] if rows else None

    async def position(self) -> int:
        """The last sequence of EVENTS that is projected."""
        row = await self.one(_POSITION)
        return int(row.seq) if row else 0

    async def at_least(self, seq: int, *, within_s: float = 10.0) -> None:
        """Wait until `seq` is projected; raises NotProjectedError after `within_s`."""
        if not await self._progress.reaches(seq, within_s):
            raise NotProjectedError(f"event {seq} is stored but not yet visible")


@asynccontextmanager
async def read_model(url: str, *, connections: int = 5) -> AsyncIterator[ReadModel]:
    """Open the read model at `postgresql://...`; every transaction is read-only."""
    engine = create_async_engine(
        engine_url(url),
        pool_size=connections,
        max_overflow=0,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        json_deserializer=msgspec.json.decode,
        connect_args={"server_settings": {"default_transaction_read_only": "on"}},
    )
    try:
        yield ReadModel(engine)
    finally:
        await engine.dispose()
