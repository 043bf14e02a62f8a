"""The platform's own database and its two roles: one writes, the others read."""

from __future__ import annotations

import re

from services.launcher.postgres import PostgresServer

DATABASE = "holdfast"
WRITER = "holdfast_auditor"
READER = "holdfast_reader"


def prepare_database(server: PostgresServer, *, writer: str, reader: str) -> None:
    """Make the database and both roles, or set their passwords again; may be repeated.

    The writer owns the database; the reader may SELECT from what the writer creates, also later.
    """
    for role, password in ((WRITER, writer), (READER, reader)):
        server.execute(_role(role, password))
    databases = server.execute("SELECT datname FROM pg_database").splitlines()
    if DATABASE not in databases:
        server.execute(f"CREATE DATABASE {DATABASE} OWNER {WRITER}")
    server.execute(
        f"""
        REVOKE ALL ON DATABASE {DATABASE} FROM PUBLIC;
        GRANT CONNECT ON DATABASE {DATABASE} TO {READER};
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;
        ALTER SCHEMA public OWNER TO {WRITER};
        GRANT USAGE ON SCHEMA public TO {READER};
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER};
        ALTER DEFAULT PRIVILEGES FOR ROLE {WRITER} GRANT SELECT ON TABLES TO {READER};
        ALTER DEFAULT PRIVILEGES FOR ROLE {WRITER} GRANT USAGE ON SCHEMAS TO {READER};
        ALTER ROLE {READER} IN DATABASE {DATABASE} SET default_transaction_read_only = on;
        """,
        database=DATABASE,
    )


def _role(name: str, password: str) -> str:
    assert re.fullmatch(r"[A-Za-z0-9_-]{16,}", password), "passwords are made by token_urlsafe"
    return f"""
        SELECT 'CREATE ROLE {name} LOGIN' WHERE to_regrole('{name}') IS NULL \\gexec
        ALTER ROLE {name} LOGIN PASSWORD '{password}';
    """
