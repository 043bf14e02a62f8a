"""The read side of the read model: connections of a role that cannot write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import Executable, Row, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared.errors import InvalidInputError, UnavailableError
from shared.readmodel.tables import checkpoints
from shared.readmodel.url import engine_url

PROJECTION = "projection"
"""The name of the checkpoint that says how far the log is projected."""


class NotProjectedError(UnavailableError):
    """The projection did not get there in time; what was appended is safe in the log."""

    code = "projection.behind"
    default_fix = "look again in a moment"


class ReadModel:
    """Queries of the projected state."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def rows(self, query: Executable) -> Sequence[Row[Any]]:
        """All rows of `query`; raises UnavailableError while Postgres is away.

        A value that no column can hold (a NUL in a text, say) raises InvalidInputError: it came
        from whoever asks, and asking again would not help.
        """
        try:
            return await self._told(query)
        except DBAPIError as error:
            if error.orig is not None and isinstance(error.orig.__cause__, asyncpg.DataError):
                raise InvalidInputError("a value is none that could be stored") from None
            raise UnavailableError("the read model does not answer") from error
        except (SQLAlchemyError, OSError) as error:
            raise UnavailableError("the read model does not answer") from error

    async def _told(self, query: Executable) -> Sequence[Row[Any]]:
        """One round trip: no transaction around a single statement, and no ping before it.

        So a connection may turn out to be dead; the pool throws all of that age away then, and
        reading once more is harmless.
        """
        try:
            async with self._engine.connect() as connection:
                return (await connection.execute(query)).all()
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        async with self._engine.connect() as connection:
            return (await connection.execute(query)).all()

    async def portions(
        self, query: Executable, *, size: int = 1000
    ) -> AsyncIterator[Sequence[Row[Any]]]:
        """All rows of a long answer, so many at a time: others have their turn between.

        Raises UnavailableError while Postgres is away.
        """
        try:
            async with self._engine.connect() as connection:
                # A cursor lives in a transaction, and sees the state of its beginning.
                await connection.execution_options(isolation_level="READ COMMITTED")
                told = await connection.stream(query, execution_options={"yield_per": size})
                async for some in told.partitions():
                    yield some
        except (SQLAlchemyError, OSError) as error:
            raise UnavailableError("the read model does not answer") from error

    async def one(self, query: Executable) -> Row[Any] | None:
        """The first row, or None."""
        rows = await self.rows(query)
        return rows[0] if rows else None

    async def position(self) -> int:
        """The last sequence of EVENTS that is projected."""
        row = await self.one(select(checkpoints.c.seq).where(checkpoints.c.name == PROJECTION))
        return int(row.seq) if row else 0

    async def at_least(self, seq: int, *, within_s: float = 10.0) -> None:
        """Wait until `seq` is projected; raises NotProjectedError after `within_s`."""
        delay = 0.002
        loop = asyncio.get_running_loop()
        until = loop.time() + within_s
        while await self.position() < seq:
            if loop.time() > until:
                raise NotProjectedError(f"event {seq} is stored but not yet visible")
            await asyncio.sleep(delay)
            delay = min(delay * 1.5, 0.1)


@asynccontextmanager
async def read_model(url: str, *, connections: int = 5) -> AsyncIterator[ReadModel]:
    """Open the read model at `postgresql://...`; every transaction is read-only."""
    engine = create_async_engine(
        engine_url(url),
        pool_size=connections,
        max_overflow=0,
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        connect_args={"server_settings": {"default_transaction_read_only": "on"}},
    )
    try:
        yield ReadModel(engine)
    finally:
        await engine.dispose()
