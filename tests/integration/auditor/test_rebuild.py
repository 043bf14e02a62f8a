"""Rebuilt from either copy, everything comes out as it was, with the same audit root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.auditor.comparison import StreamDamagedError
from services.auditor.line import line
from services.auditor.rebuild import READ_MODELS, forget, rebuild
from services.auditor.repair import Workshop, repair
from services.auditor.soundness import EventLogDamagedError
from services.auditor.writer import connected
from shared.audit.export import export_audit
from shared.audit.succession import Succession
from shared.audit.verify import AuditRefusedError, verify_audit
from shared.bus.base import EVENTS
from shared.bus.bootstrap import bootstrap
from shared.readmodel.migrations import migrate
from shared.readmodel.reader import read_model
from tests.integration.auditor.house import KEY, House
from tests.support.waiting import eventually
from tests.unit.auditor.events import backup_story, server

LOG = ("event_log", "audit_logs")


async def contents(database: str) -> dict[str, list[str]]:
    """Every row of the log and of the read models, as text."""
    async with connected(database) as connection:
        return {
            name: sorted(
                row["text"]
                for row in await connection.fetch(f"SELECT t::text AS text FROM {name} t")
            )
            for name in (*LOG, *READ_MODELS)
        }


async def root(database: str) -> bytes:
    async with connected(database) as connection:
        return bytes(
            await connection.fetchval(
                "SELECT edge FROM checkpoints WHERE seq > 0 AND name = 'projection'"
            )
        )


async def live(house: House) -> None:
    """Some life: settings, backups, one poisonous message; all of it projected and signed."""
    async with house.auditor():
        await house.trusted()
        for message in [server(), *backup_story(), *backup_story()]:
            last = await house.bus.append(message)
        async with line(house.bus_settings) as own:
            await own.send("evt.x.y.core.z", b"{poison", {})
        await house.projected(last.seq + 1)

        async def signed() -> bool:
            return (
                await house.ask_postgres("SELECT max(size) FROM audit_checkpoints") == last.seq + 1
            )

        await eventually(signed)


async def test_read_models_are_rebuilt_from_event_log(house: House) -> None:
    await live(house)
    before = await contents(house.database)
    async with connected(house.database) as connection:
        await connection.execute("UPDATE backups SET status = 'wrong'; DELETE FROM runs")

        report = await rebuild(connection)

    assert (report.events, bytes.fromhex(report.root)) == (10, await _signed_root(house))
    assert await contents(house.database) == before


async def test_an_auditor_at_work_goes_on_after_a_rebuild(house: House) -> None:
    await live(house)
    async with house.auditor() as auditor:
        await house.trusted()
        async with connected(house.database) as connection:
            await rebuild(connection)
        last = await house.bus.append(backup_story()[0])
        await house.projected(last.seq)
        assert not auditor.done()


async def test_a_lost_postgres_is_filled_from_the_stream(house: House, postgres: Any) -> None:
    await live(house)
    before, edge = await contents(house.database), await root(house.database)
    await _lose(house, postgres)
    async with house.auditor():
        await house.trusted()
        await house.projected(10)
    assert await contents(house.database) == before
    assert await root(house.database) == edge


async def test_a_lost_postgres_is_filled_from_a_stream_that_was_once_repaired(
    house: House, postgres: Any, tmp_path: Path
) -> None:
    await live(house)
    before = await contents(house.database)
    async with connected(house.database) as connection, line(house.bus_settings) as own:
        await repair(Workshop(house.bus, own, connection, KEY, tmp_path), cause="a test")
    await _lose(house, postgres)
    async with house.auditor():
        await house.trusted()
        await house.projected(11)  # the repair said so
    after = await contents(house.database)
    for name in LOG:
        assert set(before[name]) < set(after[name])
    assert after["backups"] == before["backups"]
    assert await house.ask_postgres("SELECT count(*) FROM audit_logs") == 11


async def test_a_changed_copy_is_not_built_upon_and_is_forgotten_for_the_stream(
    house: House, tmp_path: Path
) -> None:
    await live(house)
    before = await contents(house.database)
    async with connected(house.database) as connection, line(house.bus_settings) as own:
        await connection.execute(
            "ALTER TABLE event_log DISABLE TRIGGER append_only;"
            "UPDATE event_log SET data = data || ' ' WHERE seq = 3;"
            "ALTER TABLE event_log ENABLE TRIGGER append_only"
        )
        with pytest.raises(EventLogDamagedError, match="event 3 was changed"):
            await rebuild(connection)
        with pytest.raises(EventLogDamagedError):
            await repair(Workshop(house.bus, own, connection, KEY, tmp_path), cause="no")
        await forget(house.bus, connection, Succession.of(KEY.public))
    async with house.auditor():
        await house.trusted()
        await house.projected(10)
    assert await contents(house.database) == before


async def test_a_stream_that_is_not_the_signed_one_is_no_reason_to_forget(house: House) -> None:
    await live(house)
    before = await contents(house.database)
    async with line(house.bus_settings) as own:
        await own.ask(f"STREAM.DELETE.{EVENTS}")
    await bootstrap(house.bus_settings)
    for message in [server(), *backup_story(), *backup_story(), server(), server()]:
        await house.bus.append(message)

    async with connected(house.database) as connection:
        with pytest.raises(StreamDamagedError, match="not those that were signed"):
            await forget(house.bus, connection, Succession.of(KEY.public))
    assert await contents(house.database) == before


async def test_what_postgres_holds_can_be_exported_and_verified_offline(
    house: House, tmp_path: Path
) -> None:
    await live(house)
    path = tmp_path / "audit.jsonl"
    async with read_model(house.database) as model:
        await export_audit(model, path, fingerprint="shown", events=True)

    assert verify_audit(path, KEY.public).entries == 10
    path.write_bytes(path.read_bytes().replace(b'"actor":"user-1"', b'"actor":"user-2"', 1))
    with pytest.raises(AuditRefusedError):
        verify_audit(path, KEY.public)


async def test_the_commands_tell_by_json_and_exit_code(house: House, tmp_path: Path) -> None:
    await live(house)
    key = tmp_path / "audit_key"
    key.write_text(KEY.printed())
    environment = {
        "PATH": os.environ["PATH"],
        "NATS_URL": house.nats.url,
        "DATABASE_URL": house.database,
        "AUDIT_KEY_FILE": str(key),
    }

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, "-m", "services.auditor", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    assert run("guard") == (0, {"ok": True, "events": 10, "read": 10})
    assert run("rebuild")[1]["events"] == 10
    assert run("repair", "--folder", str(tmp_path)) == (
        0,
        {"ok": True, "cause": "nothing is damaged"},
    )
    async with line(house.bus_settings) as own:
        await own.ask(f"STREAM.DELETE.{EVENTS}")
        code, answer = run("guard")
        assert (code, answer["ok"]) == (1, False)
        code, answer = run("repair", "--folder", str(tmp_path))
    assert (code, answer["last_seq"], answer["restored"]) == (0, 10, 10)
    assert run("guard", "--all") == (0, {"ok": True, "events": 10, "read": 10})


async def _signed_root(house: House) -> bytes:
    root = await house.ask_postgres("SELECT root FROM audit_checkpoints ORDER BY size DESC LIMIT 1")
    assert isinstance(root, bytes)
    return root


async def _lose(house: House, postgres: Any) -> None:
    name = house.database.rsplit("/", 1)[-1]
    connection = await asyncpg.connect(postgres.dsn())
    await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    await migrate(house.database)
