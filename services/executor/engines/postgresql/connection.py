"""Connections to the server: by the driver, and by libpq inside a session of a runner."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from services.executor.engines.base import EngineError, TlsError, UnreachableError
from services.executor.engines.login import Login
from services.executor.engines.postgresql.problems import named_errors
from services.executor.engines.postgresql.quoting import password_line
from services.executor.runners.base import Session
from shared.addresses import NameUnknownError

CONNECT_TIMEOUT_S = 10
_CLOSE_TIMEOUT_S = 2.0

# Dates, numbers and bytes read the same on every server, so that content can be compared; and no
# limit that somebody set for applications ends a long dump.
_SETTINGS = {
    "application_name": "holdfast",
    "client_encoding": "UTF8",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "row_security": "off",
    "search_path": "pg_catalog",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "transaction_timeout": "0",
    "default_transaction_read_only": "off",
    "max_parallel_workers_per_gather": "0",  # one processor of the customer's server, not all
}
_SINCE = {"idle_session_timeout": 14, "transaction_timeout": 17}


class Connection:
    """A connection of the driver whose errors are named; one statement at a time."""

    def __init__(self, driver: Any) -> None:  # asyncpg ships no types
        self._driver = driver

    @property
    def major(self) -> int:
        """The server's major version."""
        return int(self._driver.get_server_version().major)

    @property
    def lost(self) -> bool:
        return bool(self._driver.is_closed())

    async def rows(self, statement: str, *values: object) -> list[dict[str, Any]]:
        with named_errors():
            return [dict(row) for row in await self._driver.fetch(statement, *values)]

    async def driver_rows(self, statement: str) -> list[Any]:
        """As `rows`, but with the driver's own errors: a query of somebody who wants to know."""
        found: list[Any] = await self._driver.fetch(statement)
        return found

    async def row(self, statement: str, *values: object) -> dict[str, Any] | None:
        """The first row, or None."""
        rows = await self.rows(statement, *values)
        return rows[0] if rows else None

    async def execute(self, statement: str, *values: object) -> None:
        with named_errors():
            await self._driver.execute(statement, *values)


@asynccontextmanager
async def connected(login: Login, at: Session, database: str) -> AsyncIterator[Connection]:
    """A connection of the driver, closed at the end whatever it is doing then."""
    import asyncpg

    async with _reached(login, at) as (addresses, port):
        with named_errors():
            driver = await asyncpg.connect(
                host=addresses,
                port=port,
                user=login.user,
                password=login.password,
                database=database,
                ssl=_trust(login),
                timeout=CONNECT_TIMEOUT_S,
                statement_cache_size=0,
            )
        try:
            connection = Connection(driver)
            await _configure(connection)
            yield connection
            with suppress(EngineError), named_errors():
                await driver.close(timeout=_CLOSE_TIMEOUT_S)
        finally:
            driver.terminate()


@asynccontextmanager
async def _reached(login: Login, at: Session) -> AsyncIterator[tuple[list[str], int]]:
    if _is_socket(login):
        yield [login.host], login.port
        return
    try:
        async with at.reach(login.host, login.port) as place:
            yield place
    except NameUnknownError as error:
        raise UnreachableError(error.cause) from error


async def tool_environment(login: Login, at: Session, database: str) -> dict[str, str]:
    """What libpq needs to connect; the password stands in a private file of the session.

    The certificate is compared with the name, but no name is resolved again.
    """
    variables = {
        **await _place(login, at),
        "PGPORT": str(login.port),
        "PGUSER": login.user,
        "PGDATABASE": database,  # taken literally, unlike a database named on the command line
        "PGPASSFILE": await at.write_file("password", password_line(login.password).encode()),
        "PGCONNECT_TIMEOUT": str(CONNECT_TIMEOUT_S),
        "PGAPPNAME": "holdfast",
        "PGCLIENTENCODING": "UTF8",
        "PGGSSENCMODE": "disable",
    }
    if login.tls == "off":
        # Without TLS nothing is asked of libpq: one that was built without it knows no modes.
        return variables | {"PGSSLMODE": "disable"}
    trusted = await at.write_file("authorities.pem", _authorities(login))
    return variables | {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": trusted}


async def _place(login: Login, at: Session) -> dict[str, str]:
    if _is_socket(login):
        return {"PGHOST": login.host}
    addresses = await at.addresses(login.host, login.port)
    return {
        "PGHOST": ",".join([login.host] * len(addresses)),
        "PGHOSTADDR": ",".join(addresses),
    }


def _is_socket(login: Login) -> bool:
    """The folder of an instance of ours: no setting can be a path."""
    return login.host.startswith("/")


def _trust(login: Login) -> ssl.SSLContext | bool:
    if login.tls == "off":
        return False
    try:
        return _Named.of(login.host, login.ca_certificate)
    except (ssl.SSLError, ValueError) as error:
        raise TlsError("the certificate of the authority cannot be read") from error


class _Named(ssl.SSLContext):
    """Compares the certificate with a server's name, though the connection goes to its address."""

    name = ""

    @classmethod
    def of(cls, name: str, authorities: str) -> _Named:
        context = cls(ssl.PROTOCOL_TLS_CLIENT)
        context.name = name
        if authorities:
            context.load_verify_locations(cadata=authorities)
        else:
            context.load_default_certs()
        return context

    def wrap_bio(self, *ends: Any, **told: Any) -> ssl.SSLObject:
        return super().wrap_bio(*ends, **{**told, "server_hostname": self.name})


def _authorities(login: Login) -> bytes:
    """The configured authority, or all that this system trusts."""
    if login.ca_certificate:
        return login.ca_certificate.encode()
    known = ssl.get_default_verify_paths().cafile
    if known is None:
        raise TlsError("this system has no list of trusted authorities")
    return Path(known).read_bytes()


async def _configure(connection: Connection) -> None:
    known = {
        name: value for name, value in _SETTINGS.items() if _SINCE.get(name, 0) <= connection.major
    }
    await connection.execute(
        "select set_config(name, value, false) from unnest($1::text[], $2::text[]) s(name, value)",
        list(known),
        list(known.values()),
    )
