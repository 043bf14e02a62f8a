"""DATABASE_URL: any usual way to write the address of a PostgreSQL database."""

from __future__ import annotations

from urllib.parse import urlsplit

_SCHEMES = ("postgresql", "postgres", "postgresql+asyncpg")


def database_faults(url: str) -> list[str]:
    """What is wrong with `DATABASE_URL`, if anything is; no part of it is repeated."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return ["DATABASE_URL cannot be read as an address"]
    if parts.scheme not in _SCHEMES or len(parts.path) < 2:
        return ["DATABASE_URL is not postgresql://user:password@host:port/database"]
    return []


def plain_url(url: str) -> str:
    """The address as the driver itself takes it: `postgresql://...`."""
    return f"postgresql://{url.partition('://')[2]}"


def engine_url(url: str) -> str:
    """The address as SQLAlchemy takes it: `postgresql+asyncpg://...`."""
    return f"postgresql+asyncpg://{url.partition('://')[2]}".replace("sslmode=", "ssl=")
