"""Names and secrets inside SQL, connection strings and password files: never interpreted."""

from __future__ import annotations

from services.executor.engines.base import DatabaseMissingError

_LONGEST_NAME_BYTES = 63


def database_name(name: str) -> str:
    """`name`, if a database can have it; longer ones PostgreSQL would cut, and hit another."""
    if not 0 < len(name.encode(errors="replace")) <= _LONGEST_NAME_BYTES or "\0" in name:
        raise DatabaseMissingError(
            "no PostgreSQL database can have this name",
            fix=f"a name has 1 to {_LONGEST_NAME_BYTES} bytes and no NUL",
        )
    return name


def identifier(name: str) -> str:
    """`name` as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as an SQL string constant, whatever `standard_conforming_strings` says."""
    doubled = text.replace("\\", "\\\\").replace("'", "''")
    return f" E'{doubled}'" if "\\" in text else f"'{doubled}'"


def conninfo_database(name: str) -> str:
    """A connection string that names only a database.

    Given bare, libpq takes a name with `=` or `postgresql://` for a whole connection string,
    which could point elsewhere.
    """
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


def password_line(password: str) -> str:
    """The line of a password file that fits every connection of the session."""
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:*:{escaped}\n"
