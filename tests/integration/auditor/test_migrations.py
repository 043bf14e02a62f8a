"""The migrations lead to the tables that the queries are written against."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from services.auditor.writer import connected
from shared.readmodel.migrations import migrate
from shared.readmodel.tables import metadata

EXPIRED = """
    INSERT INTO backups (id, run_id, database_id, server_id, endpoint, database_name, store_id,
        type, method, codec, status, proof, attempt, actor, note, requested_at, holds,
        further_store_ids, full_because, delete_after, version)
    VALUES ($1, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'main', 'shop', 's1',
        'full', 'logical', 'zstd', 'expired', 'verified', 1, '', '', now(), '[]',
        '[]', '', now(), 1)
"""
LOGGED = """
    INSERT INTO event_log (seq, event_id, subject, stored_at, headers, data, hash, poison)
    VALUES (1, 'e1', $1, now(), '', '', '', false)
"""


async def test_migrations_and_metadata_agree(database: str) -> None:
    engine = create_async_engine(database)
    async with engine.connect() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(
                MigrationContext.configure(sync, opts={"compare_server_default": True}), metadata
            )
        )
    await engine.dispose()

    assert differences == []


async def test_several_processes_may_migrate_at_once(empty_database: str) -> None:
    await asyncio.gather(*(migrate(empty_database) for _ in range(4)))

    async with connected(empty_database) as connection:
        assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1


async def test_a_deletion_that_began_before_an_update_has_begun_after_it(
    empty_database: str,
) -> None:
    halfway, waiting = uuid4(), uuid4()
    engine = create_async_engine(empty_database)
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: upgraded(sync, "0024"))
    await engine.dispose()
    async with connected(empty_database) as connection:
        for backup_id in (halfway, waiting):
            await connection.execute(EXPIRED, backup_id)
        subject = f"evt.backup.deletion_begun.core.{halfway}"
        await connection.execute(LOGGED, subject)

    await migrate(empty_database)

    async with connected(empty_database) as connection:
        rows = await connection.fetch("SELECT id FROM backups WHERE deletion_begun_at IS NOT NULL")
    assert [row["id"] for row in rows] == [halfway]


async def test_a_reader_sees_the_backups_but_no_wrapped_key(empty_database: str) -> None:
    async with connected(empty_database) as connection:
        await connection.execute("DROP ROLE IF EXISTS reader_of_test")
        await connection.execute("CREATE ROLE reader_of_test")
        await migrate(empty_database, reader="reader_of_test")
        await connection.execute("SET ROLE reader_of_test")

        assert await connection.fetch("SELECT * FROM backups") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM sealed_keys")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("DELETE FROM backups")

        await connection.execute(
            "RESET ROLE; DROP OWNED BY reader_of_test; DROP ROLE reader_of_test"
        )


@pytest.mark.parametrize("table", ["event_log", "audit_logs"])
@pytest.mark.parametrize("deed", ["TRUNCATE {}", "DELETE FROM {}", "UPDATE {} SET seq = 0"])
async def test_the_log_cannot_be_changed_by_a_statement(
    database: str, table: str, deed: str
) -> None:
    async with connected(database) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await connection.execute(deed.format(table))


def upgraded(connection: Connection, revision: str) -> None:
    """An installation of some time ago."""
    config = Config()
    config.set_main_option("script_location", "shared.readmodel:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, revision)
