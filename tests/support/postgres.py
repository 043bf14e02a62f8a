"""A PostgreSQL server of a test: create, ask, stop, kill, start again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from services.launcher.postgres import SUPERUSER, PostgresServer

# Page cache survives kill -9, so tests lose nothing without fsync; they do not cut the power.
QUICK = {"fsync": "off", "synchronous_commit": "off", "max_wal_size": "4GB"}


class Postgres(PostgresServer):
    """A server with the addresses that a test needs."""

    user = SUPERUSER

    def dsn(
        self,
        database: str = "postgres",
        *,
        user: str = SUPERUSER,
        password: str | None = None,
        driver: str = "postgresql",
    ) -> str:
        """A URL with the password; `driver="postgresql+asyncpg"` for SQLAlchemy."""
        secret = quote(password or self.password, safe="")
        return f"{driver}://{user}:{secret}@{self.host}:{self.port}/{quote(database, safe='')}"


@contextmanager
def postgres_server(
    directory: Path,
    *,
    major: int = 18,
    settings: Mapping[str, str] | None = None,
    durable: bool = False,
) -> Iterator[Postgres]:
    """A running server in `directory` (made if absent), stopped at the end, data kept."""
    server = Postgres(
        directory,
        log=directory / "server.log",
        major=major,
        settings={**({} if durable else QUICK), **(settings or {})},
    )
    server.start()
    try:
        yield server
    finally:
        server.kill9()
