"""The platform's own database and its two roles: one writes, the others read."""

from __future__ import annotations

import re

from services.launcher.postgres import PostgresServer

DATABASE = "holdfast"
WRITER = "holdfast_auditor"
READER = "holdfast_reader"


def prepare_database(server: PostgresServer, *, writer: str, reader: str) -> None:
    """Make the database and both roles, or set their passwords again; may be repeated."""
    server.execute(script(writer=writer, reader=reader))


def script(*, writer: str, reader: str) -> str:
    """What psql does as the superuser: the database, both roles and their passwords.

    The writer owns the database; the reader may SELECT from what the writer creates, also later.
    """
    return f"""
        {_role(WRITER, writer)}
        {_role(READER, reader)}
        SELECT 'CREATE DATABASE {DATABASE} OWNER {WRITER}'
        WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') \\gexec
        \\connect {DATABASE}
        REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC;
        GRANT CONNECT ON DATABASE {DATABASE} TO {READER};
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;
        ALTER SCHEMA public OWNER TO {WRITER};
        GRANT USAGE ON SCHEMA public TO {READER};
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER};
        ALTER DEFAULT PRIVILEGES FOR ROLE {WRITER} GRANT SELECT ON TABLES TO {READER};
        ALTER DEFAULT PRIVILEGES FOR ROLE {WRITER} GRANT USAGE ON SCHEMAS TO {READER};
        ALTER ROLE {READER} IN DATABASE {DATABASE} SET default_transaction_read_only = on;
    """  # noqa: S608 - our own names, and passwords that were checked


def _role(name: str, password: str) -> str:
    assert re.fullmatch(r"[A-Za-z0-9_-]{16,}", password), "passwords are made by token_urlsafe"
    return f"""
        SELECT 'CREATE ROLE {name} LOGIN' WHERE to_regrole('{name}') IS NULL \\gexec
        ALTER ROLE {name} LOGIN PASSWORD '{password}';
    """
