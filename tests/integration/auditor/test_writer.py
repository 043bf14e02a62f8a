"""The writer on a real PostgreSQL: exactly once, in order, whatever the events hold."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest

from services.auditor.ledger import Record, record_of, recorded, stored_event
from services.auditor.writer import FencedError, LogGapError, Writer, connected
from shared.audit.merkle import root_of
from shared.errors import UnavailableError
from shared.messages.base import Fact, Setting
from shared.messages.facts import BackupDeleted, BackupRequested, ServerDiscovered
from shared.messages.settings import DatabaseSetting
from shared.messages.values import FoundDatabase
from shared.readmodel.url import plain_url
from tests.support.proxy import proxy
from tests.unit.auditor.events import (
    attempted,
    backup_requested,
    backup_story,
    completed,
    delivered,
    server,
    shop,
)


def records(*messages: Fact | Setting | bytes, first: int = 1) -> list[Record]:
    return [recorded(one, []) for one in delivered(messages, first=first)]


async def table(connection: Any, name: str) -> list[dict[str, Any]]:
    return [dict(row) for row in await connection.fetch(f"SELECT * FROM {name} ORDER BY 1")]


async def test_a_backup_becomes_rows(database: str) -> None:
    story = backup_story()
    async with connected(database) as connection:
        writer = await Writer.take_over(connection)

        await writer.write(records(server(), *story))

        (backup,), (run,) = await table(connection, "backups"), await table(connection, "runs")
        assert (backup["status"], backup["raw_bytes"], backup["version"]) == ("completed", 1000, 5)
        assert (run["status"], run["attempts"], run["worker"]) == ("completed", 1, "worker-1")
        (found,) = await table(connection, "databases")
        assert (found["name"], found["id"]) == ("shop", shop().id)
        assert [row["n"] for row in await table(connection, "audit_logs")] == [0, 1, 2, 3, 4]


async def test_batches_of_any_size_lead_to_the_same_tables_and_root(database: str) -> None:
    story = [*backup_story(), *backup_story(), b"\xff poison", *backup_story()]
    prepared = records(server(), *story)
    async with connected(database) as connection:
        one = await Writer.take_over(connection)
        await one.write(prepared)
        at_once = [await table(connection, name) for name in ("backups", "runs", "event_log")]
        await connection.execute(
            "ALTER TABLE event_log DISABLE TRIGGER USER; ALTER TABLE audit_logs DISABLE TRIGGER "
            "USER; TRUNCATE event_log, audit_logs, backups, runs, databases, backup_attempts, "
            "backup_metadata, servers, checkpoints"
        )
        two = await Writer.take_over(connection)
        for record in prepared:
            await two.write([record])

        one_by_one = [await table(connection, name) for name in ("backups", "runs", "event_log")]
    assert one_by_one == at_once
    assert one.tree.root() == two.tree.root() == root_of([r.leaf_hash for r in prepared])


async def test_poison_is_kept_marked_and_audited(database: str) -> None:
    async with connected(database) as connection:
        writer = await Writer.take_over(connection)

        await writer.write(records(b"{not json", server()))

        first, second = await table(connection, "event_log")
        assert (first["data"], first["poison"], second["poison"]) == (b"{not json", True, False)
        assert (await table(connection, "audit_logs"))[0]["outcome"] == "unreadable"
        assert [row["name"] for row in await table(connection, "servers")] == ["one"]


@pytest.mark.parametrize(
    "strange",
    [
        backup_requested("a \0 b"),
        BackupDeleted(backup_id=backup_requested().backup_id, freed_bytes=2**70),
        completed(backup_requested()),
        DatabaseSetting(key="no-uuid"),
        ServerDiscovered(
            server_id=shop().server_id,
            run_id=shop().server_id,
            databases=[FoundDatabase(endpoint="e", name="x", size_bytes=2**70)],
        ),
    ],
    ids=lambda event: event.type,
)
async def test_no_event_stops_the_projection(database: str, strange: Fact | Setting) -> None:
    story = backup_story()
    async with connected(database) as connection:
        writer = await Writer.take_over(connection)

        await writer.write(records(story[0], strange, *story[1:]))

        statuses = {row["id"]: row["status"] for row in await table(connection, "backups")}
        assert isinstance(story[0], BackupRequested)
        assert statuses[story[0].backup_id] == "completed"
        assert writer.seq == 5


async def test_an_event_that_does_not_fit_the_tables_is_marked(database: str) -> None:
    request = backup_requested()
    ended = completed(request)
    archive = msgspec.structs.replace(ended.archive, raw_bytes=2**70)
    huge = msgspec.structs.replace(ended, archive=archive)
    async with connected(database) as connection:
        writer = await Writer.take_over(connection)

        await writer.write(records(request, attempted(request), huge))

        log = await table(connection, "event_log")
        assert [row["poison"] for row in log] == [False, False, True]
        (backup,) = await table(connection, "backups")
        assert backup["status"] == "running"


async def test_the_log_can_be_read_back_as_it_was_delivered(database: str) -> None:
    written = records(server(), b"\0\xff", *backup_story())
    async with connected(database) as connection:
        await (await Writer.take_over(connection)).write(written)

        rows = await connection.fetch("SELECT * FROM event_log ORDER BY seq")
        leaves = await connection.fetch("SELECT leaf, leaf_hash FROM audit_logs ORDER BY n")

    assert [record_of(stored_event(row)) for row in rows] == written
    assert [(r.text, r.leaf_hash) for r in written] == [tuple(leaf) for leaf in leaves]


async def test_a_gap_is_refused_and_nothing_of_the_batch_lands(database: str) -> None:
    before, after = records(server()), records(*backup_story(), first=3)
    async with connected(database) as connection:
        writer = await Writer.take_over(connection)

        with pytest.raises(LogGapError):
            await writer.write([*before, *after])

        assert writer.seq == 0
        assert await table(connection, "event_log") == []


async def test_an_auditor_that_lost_the_lead_cannot_write(database: str) -> None:
    async with connected(database) as old, connected(database) as new:
        paused = await Writer.take_over(old)
        active = await Writer.take_over(new)

        with pytest.raises(FencedError):
            await paused.write(records(server()))
        await active.write(records(server()))

        assert len(await table(new, "event_log")) == 1


async def test_an_auditor_paused_inside_its_transaction_does_not_block_the_next(
    database: str,
) -> None:
    async with connected(database) as old, connected(database) as new:
        paused = await Writer.take_over(old)
        transaction = paused.transaction()
        await transaction.__aenter__()

        async with asyncio.timeout(4):
            active = await Writer.take_over(new)
            await active.write(records(server()))

        assert active.seq == 1
        with pytest.raises((asyncpg.InterfaceError, asyncpg.PostgresError)):
            await old.fetchval("SELECT 1")


async def test_a_goodbye_before_the_connection_ends_is_told_as_postgres_away(
    database: str,
) -> None:
    """asyncpg, which was told of an error that answers nothing, refuses with its own error then."""
    address = urlsplit(plain_url(database))
    async with proxy(address.port or 0) as passing, connected(database) as other:
        passing.lingering = True
        through = address._replace(netloc=f"{address.netloc.rpartition(':')[0]}:{passing.port}")
        async with connected(through.geturl()) as connection:
            writer = await Writer.take_over(connection)
            await other.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
            await asyncio.sleep(0.2)

            with pytest.raises(UnavailableError):
                await writer.write(records(server()))
