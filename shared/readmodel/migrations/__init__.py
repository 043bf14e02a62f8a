"""The steps that bring an empty or older Postgres to the tables of this version."""

from __future__ import annotations

import asyncio
import re

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from shared.errors import UnavailableError
from shared.readmodel.url import engine_url

LOCK = 7_420_001
"""The advisory lock that lets one process migrate at a time."""

_NOT_FOR_READERS = ("sealed_keys", "consumer_floors")
_ROLE = re.compile(r"^[a-z_][a-z0-9_]{0,62}$")


async def migrate(url: str, *, reader: str | None = None) -> None:
    """Bring the database at `postgresql://...` to this version; safe to call at any time.

    `reader`: an existing role that may read everything but wrapped keys. Raises UnavailableError
    while Postgres is away.
    """
    engine = create_async_engine(engine_url(url), hide_parameters=True)
    try:
        await _migrate(engine, reader)
    except (OSError, InterfaceError, OperationalError) as error:
        raise UnavailableError("Postgres does not answer") from error
    finally:
        await engine.dispose()


async def _migrate(engine: AsyncEngine, reader: str | None) -> None:
    async with engine.begin() as connection:
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
        await connection.run_sync(_upgrade)
        if reader is not None:
            await connection.run_sync(_let_read, reader)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "shared.readmodel:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _let_read(connection: Connection, reader: str) -> None:
    if not _ROLE.match(reader):
        raise ValueError(f"not the name of a role: {reader!r}")
    known = connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :r"), {"r": reader})
    if known.first() is None:
        return
    connection.execute(text(f'GRANT USAGE ON SCHEMA public TO "{reader}"'))
    connection.execute(text(f'GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{reader}"'))
    hidden = ", ".join(_NOT_FOR_READERS)
    connection.execute(text(f'REVOKE ALL ON {hidden} FROM "{reader}"'))


def migrate_now(url: str, *, reader: str | None = None) -> None:
    """`migrate` for callers without a running loop."""
    asyncio.run(migrate(url, reader=reader))
