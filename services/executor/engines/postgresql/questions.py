"""Queries to a restored database of a throw-away instance, by a role that can only read."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from services.executor.engines.base import ANSWER_CHARS, CheckRefusedError
from services.executor.engines.login import Login
from services.executor.engines.postgresql.connection import Connection, connected
from services.executor.engines.postgresql.problems import named_errors
from services.executor.engines.postgresql.quoting import identifier, literal
from services.executor.runners.base import Session

_ROLE = "holdfast_checks"
_GRACE_S = 2.0

# Not `pg_read_all_data`: that reads the catalogues with the passwords in them, too.
_GRANT_ALL = """
do $$ declare name text; begin
  for name in select nspname from pg_namespace where nspname !~ '^pg_' loop
    execute format('grant usage on schema %I to holdfast_checks', name);
    execute format('grant select on all tables in schema %I to holdfast_checks', name);
  end loop;
end $$
"""


class _Reader(msgspec.Struct, frozen=True, kw_only=True):
    """How the role logs in, at the same instance."""

    host: str
    port: int
    password: str
    user: str = _ROLE
    tls: str = "off"
    ca_certificate: str = ""

    def __repr__(self) -> str:
        return f"_Reader(port={self.port})"


class PostgresqlQuestions:
    """See `Questions`. A query is one statement in a read-only transaction that is rolled back.

    The role is no superuser and the session is its own, so a query cannot become anybody else:
    as the instance's superuser it could read the machine's files and start programs.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def ask(self, query: str, within_s: float) -> list[str | None]:
        """See `Questions.ask`."""
        await self._connection.execute("begin read only")
        await self._connection.execute(f"set local statement_timeout = {int(within_s * 1000)}")
        try:
            with named_errors():
                rows = await self._rows(_first_column(query), within_s)
        finally:
            if not self._connection.lost:
                await self._connection.execute("rollback")
        return [row["value"] for row in rows]

    async def _rows(self, statement: str, within_s: float) -> list[Any]:
        import asyncpg

        try:
            async with asyncio.timeout(within_s + _GRACE_S):
                return await self._connection.driver_rows(statement)
        except TimeoutError:
            raise _too_slow(within_s) from None
        except asyncpg.QueryCanceledError:
            raise _too_slow(within_s) from None
        except asyncpg.PostgresError as error:
            # Its message may hold data of the database; the code never does.
            raise CheckRefusedError(f"the query failed (SQLSTATE {error.sqlstate})") from None


def _too_slow(within_s: float) -> CheckRefusedError:
    return CheckRefusedError(f"the query took longer than {within_s:g} s")


def _first_column(query: str) -> str:
    """Wrapped, so that the server sends no more than is compared, however much it finds."""
    inner = query.strip().rstrip(";")
    return (
        f'select left(answer."holdfast value"::text, {ANSWER_CHARS}) as value '  # noqa: S608 - the
        f'from (\n{inner}\n) as answer("holdfast value") limit 2'  # query is somebody's own
    )


@asynccontextmanager
async def asking(login: Login, at: Session, database: str) -> AsyncIterator[PostgresqlQuestions]:
    """Make the role, log in as it, and ask; the instance goes with it at the end."""
    reader = _Reader(host=login.host, port=login.port, password=secrets.token_urlsafe(24))
    async with connected(login, at, database) as superuser:
        await _make_role(superuser, reader)
    async with connected(reader, at, database) as connection:
        await connection.execute("select set_config('search_path', 'public', false)")
        yield PostgresqlQuestions(connection)


async def _make_role(superuser: Connection, reader: _Reader) -> None:
    role = identifier(reader.user)
    await superuser.execute(f"drop role if exists {role}")
    await superuser.execute(
        f"create role {role} login bypassrls connection limit 2 password {literal(reader.password)}"
    )
    await superuser.execute(_GRANT_ALL)
