"""What a server says of itself: its version, and how many keys it holds."""

from __future__ import annotations

from services.executor.engines.base import DatabaseMissingError
from services.executor.engines.redis.wire import Connection

ALL = "all"
"""An instance is dumped and restored as a whole: the name of that, where a database is named."""


def require_all(database: str) -> None:
    """Raise DatabaseMissingError for any other name."""
    if database != ALL:
        raise DatabaseMissingError(
            f"an instance of Redis is one database, called `{ALL}`",
            fix=f"name the database `{ALL}`; to restore, choose an empty instance",
        )


async def told(connection: Connection, section: str) -> dict[str, str]:
    """One section of `INFO`."""
    text: bytes = await connection.call("INFO", section)
    lines = (line.split(":", 1) for line in text.decode("utf-8", "replace").splitlines())
    return {parts[0]: parts[1] for parts in lines if len(parts) == 2}


async def lasting_keys(connection: Connection) -> dict[int, tuple[int, int]]:
    """Database -> keys, and how many of them never expire; those without keys are not named."""
    found = {}
    for name, text in (await told(connection, "keyspace")).items():
        if name.startswith("db") and name[2:].isdigit():
            values = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
            keys = int(values.get("keys", 0))
            found[int(name[2:])] = keys, keys - int(values.get("expires", 0))
    return found
