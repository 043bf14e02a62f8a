"""What every engine promises, on real servers. A new engine: one more entry in ENGINES."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args
from uuid import uuid4

import asyncpg
import msgspec
import pytest

from services.cli.demo.compare import content_of, differences
from services.executor.engines import AnyEngine, Postgresql
from services.executor.engines.base import (
    AccessDeniedError,
    CheckRefusedError,
    ContentDiffersError,
    DatabaseMissingError,
    NotADumpError,
    Questions,
    Target,
    TargetExistsError,
    ToolFailedError,
    ToolKilledError,
    ToolMissingError,
    UnreachableError,
    VersionError,
)
from services.executor.engines.postgresql.content import ContentCheck
from services.executor.engines.postgresql.tools import find
from services.executor.runners import Local
from services.executor.runners.base import Session, Workplace
from services.launcher.ports import free_port
from services.launcher.postgres import StopMode
from shared.errors import PlatformError
from shared.messages.values import TableContent
from tests.integration.executor.shop import SHOP, compared
from tests.integration.executor.world import database
from tests.support.postgres import Postgres, postgres_server

ENGINES = {"postgresql", "redis"}
HOSTILE = [
    "a;b",
    "$(touch x)",
    "-d template1",
    "two\nlines",
    "dbname=template1",
    "postgresql://other/db",
    "q'uo\"te\\s",
    "ünï ☃",
]


def engine(server: Postgres, **fields: Any) -> Postgresql:
    given = {"host": server.host, "port": server.port, "user": server.user, "tls": "off"}
    return Postgresql(
        **{"password": server.password, "content_check": ContentCheck.HASHES} | given | fields
    )


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[Session]:
    async with Local().session(Workplace(folder=tmp_path / "work", allow_loopback=True)) as session:
        yield session


async def dumped(
    given: Postgresql, session: Session, name: str
) -> tuple[bytes, list[TableContent]]:
    async with given.dump(session, name) as dump:
        content = b"".join([piece async for piece in dump.output()])
        await dump.ended()
        return content, dump.tables


async def stream(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 1000):
        yield content[at : at + 1000]


@asynccontextmanager
async def new_name(server: Postgres) -> AsyncIterator[str]:
    name = f"new_{uuid4().hex[:8]}"
    yield name
    await run(server, f"drop database if exists {name} with (force)")


async def run(server: Postgres, statement: str, name: str = "postgres") -> Any:
    connection = await asyncpg.connect(server.dsn(), database=name)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def leftovers(server: Postgres) -> int:
    names = "select count(*) from pg_database where datname like 'holdfast-%'"
    return int(await run(server, names))


def test_the_suite_runs_over_every_engine() -> None:
    known = get_args(AnyEngine) or (AnyEngine,)

    assert {one.__struct_config__.tag for one in known} == ENGINES


async def test_a_test_says_the_version_and_a_discovery_the_databases(
    session: Session, customer: Postgres, postgres: Postgres
) -> None:
    assert (await engine(customer).test(session)).startswith("16.")
    assert (await engine(postgres).test(session)).startswith("18.")
    async with database(customer, "create table t ()") as name:
        found = {one.name: one.size_bytes for one in await engine(customer).databases(session)}

    assert (found[name] or 0) > 1_000_000
    assert "template0" not in found


@pytest.mark.parametrize(("source", "target"), [(16, 16), (16, 18), (18, 18)])
async def test_a_dump_restores_into_the_same_or_a_newer_version(
    session: Session, customer: Postgres, postgres: Postgres, source: int, target: int
) -> None:
    servers = {16: customer, 18: postgres}
    old, new = servers[source], servers[target]
    async with database(old, SHOP) as name, new_name(new) as restored_name:
        content, tables = await dumped(engine(old), session, name)
        wanted = Target(database=restored_name, restore_id=uuid4(), tables=tables)
        restored = await engine(new).restore(session, wanted, stream(content))
        again = await engine(new).restore(session, wanted, stream(content))
        was, now = (
            await content_of(compared(old, name)),
            await content_of(compared(new, restored_name)),
        )

    assert [one for one in differences(was, now) if one != "schema" or source == target] == []
    assert restored == again
    assert restored.raw_bytes == len(content)
    assert await leftovers(new) == 0


async def test_the_target_speaks_and_sorts_like_the_source(
    session: Session, customer: Postgres
) -> None:
    source = f"latin_{uuid4().hex[:8]}"
    await run(customer, f"create database {source} template template0 encoding LATIN1 locale 'C'")
    async with new_name(customer) as target:
        content, tables = await dumped(engine(customer), session, source)
        wanted = Target(database=target, restore_id=uuid4(), tables=tables)
        await engine(customer).restore(session, wanted, stream(content))
        query = "select (pg_encoding_to_char(encoding), datcollate, datctype) from pg_database"
        found = await run(customer, f"{query} where datname = '{target}'")
    await run(customer, f"drop database {source}")

    assert tuple(found) == ("LATIN1", "C", "C")


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_name_is_only_a_name(
    session: Session, customer: Postgres, name: str
) -> None:
    async with database(customer, "create table t as select 1 as a", name) as source:
        content, tables = await dumped(engine(customer), session, source)
    wanted = Target(database=name, restore_id=uuid4(), tables=tables)
    await engine(customer).restore(session, wanted, stream(content))

    connection = await asyncpg.connect(customer.dsn(), database=name)
    assert await connection.fetchval("select a from t") == 1
    await connection.close()
    await run(customer, 'drop database "' + name.replace('"', '""') + '"')


async def test_rows_that_change_during_the_dump_change_neither_dump_nor_record(
    session: Session, customer: Postgres
) -> None:
    async with database(customer, SHOP) as name, new_name(customer) as target:
        async with engine(customer).dump(session, name) as dump:
            await run(customer, 'delete from "my shop".orders where id <= 5000', name)
            content = b"".join([piece async for piece in dump.output()])
            await dump.ended()
            tables = dump.tables
        wanted = Target(database=target, restore_id=uuid4(), tables=tables)
        restored = await engine(customer).restore(session, wanted, stream(content))

    assert sum(one.rows for one in restored.tables if "orders" in one.name) == 10_000


@pytest.mark.parametrize("check", [ContentCheck.COUNTS, ContentCheck.HASHES])
async def test_a_difference_after_the_restore_is_a_failure_and_leaves_nothing(
    session: Session, customer: Postgres, check: ContentCheck
) -> None:
    given = engine(customer, content_check=check)
    async with database(customer, SHOP) as name, new_name(customer) as target:
        content, tables = await dumped(given, session, name)
        changed = {"sha256": "0" * 64} if check is ContentCheck.HASHES else {"rows": 1}
        tables[0] = msgspec.structs.replace(tables[0], **changed)
        wanted = Target(database=target, restore_id=uuid4(), tables=tables)

        with pytest.raises(ContentDiffersError, match="my shop"):
            await given.restore(session, wanted, stream(content))

        exists = f"select count(*) from pg_database where datname = '{target}'"
        assert await run(customer, exists) == 0
    assert await leftovers(customer) == 0


async def test_an_existing_database_is_never_touched(session: Session, customer: Postgres) -> None:
    async with database(customer, "create table t as select 1 as a") as name:
        content, tables = await dumped(engine(customer), session, name)
        wanted = Target(database=name, restore_id=uuid4(), tables=tables)

        with pytest.raises(TargetExistsError):
            await engine(customer).restore(session, wanted, stream(content))

        assert await run(customer, "select count(*) from t", name) == 1


async def test_a_cut_dump_is_refused_and_leaves_nothing(
    session: Session, customer: Postgres
) -> None:
    async with database(customer, SHOP) as name:
        content, tables = await dumped(engine(customer), session, name)
    for cut in (3, 2000, len(content) // 2):
        wanted = Target(database=f"cut_{uuid4().hex[:8]}", restore_id=uuid4(), tables=tables)
        with pytest.raises((NotADumpError, ToolFailedError)):
            await engine(customer).restore(session, wanted, stream(content[:cut]))

    assert await leftovers(customer) == 0


async def test_an_interrupted_restore_is_removed_by_its_own_id_only(
    session: Session, customer: Postgres
) -> None:
    wanted = Target(database="never", restore_id=uuid4())
    name = f"holdfast-restore-{wanted.restore_id.hex}"
    await run(customer, f'create database "{name}"')

    await engine(customer).undo_restore(session, Target(database="never", restore_id=uuid4()))
    kept = await leftovers(customer)
    await engine(customer).undo_restore(session, wanted)
    await engine(customer).undo_restore(session, wanted)

    assert (kept, await leftovers(customer)) == (1, 0)


async def test_a_finished_restore_is_not_undone(session: Session, customer: Postgres) -> None:
    async with database(customer, SHOP) as name, new_name(customer) as target:
        content, tables = await dumped(engine(customer), session, name)
        wanted = Target(database=target, restore_id=uuid4(), tables=tables)
        other = Target(database=target, restore_id=uuid4(), tables=tables)
        restored = await engine(customer).restore(session, wanted, stream(content))

        assert await engine(customer).undo_restore(session, wanted) == restored
        assert await engine(customer).undo_restore(session, other) is None
        assert (
            await run(customer, f"select count(*) from pg_database where datname='{target}'") == 1
        )


async def test_a_clean_up_that_fails_too_does_not_hide_why(
    session: Session, customer: Postgres
) -> None:
    async def locked_out() -> AsyncIterator[bytes]:
        yield content[:2000]
        await run(customer, "alter role restorer nologin")
        raise NotADumpError("the archive broke")

    await run(customer, "create role restorer superuser login password 'restorer'")
    async with database(customer, SHOP) as name:
        content, tables = await dumped(engine(customer), session, name)
    wanted = Target(database="never", restore_id=uuid4(), tables=tables)
    try:
        with pytest.raises(NotADumpError, match="the archive broke"):
            await engine(customer, user="restorer", password="restorer").restore(
                session, wanted, locked_out()
            )
    finally:
        await engine(customer).undo_restore(session, wanted)
        await run(customer, "drop role restorer")


async def test_an_older_target_is_refused_before_anything_is_made(
    session: Session, customer: Postgres, postgres: Postgres
) -> None:
    async with database(postgres, "create table t ()") as name:
        content, tables = await dumped(engine(postgres), session, name)
    wanted = Target(database=f"old_{uuid4().hex[:8]}", restore_id=uuid4(), tables=tables)

    with pytest.raises(VersionError, match="PostgreSQL 18, the target is 16"):
        await engine(customer).restore(session, wanted, stream(content))


@pytest.mark.parametrize("major", [16, 18])
async def test_a_throw_away_instance_is_of_the_version_holds_the_dump_and_is_gone_after(
    session: Session, customer: Postgres, postgres: Postgres, major: int
) -> None:
    given = engine({16: customer, 18: postgres}[major])
    async with database({16: customer, 18: postgres}[major], SHOP) as name:
        content, tables = await dumped(given, session, name)
    wanted = Target(database=name, restore_id=uuid4(), tables=tables)

    async with given.throw_away(session, f"{major}.1") as away:
        version = await away.test(session)
        restored = await away.restore(session, wanted, stream(content))

    assert version.startswith(f"{major}.")
    assert restored.tables == tables
    assert given.password not in repr(away)
    with pytest.raises(UnreachableError):
        await away.test(session)


@asynccontextmanager
async def asked_about(session: Session, server: Postgres) -> AsyncIterator[Questions]:
    """The shop, restored into a throw-away instance that answers questions."""
    given = engine(server)
    async with database(server, SHOP) as name:
        content, tables = await dumped(given, session, name)
    wanted = Target(database=name, restore_id=uuid4(), tables=tables)
    async with given.throw_away(session, "16.1") as away:
        await away.restore(session, wanted, stream(content))
        async with away.questions(session, name) as questions:
            yield questions


async def test_a_throw_away_instance_answers_and_lets_nothing_be_written_or_read_beyond_it(
    session: Session, customer: Postgres, tmp_path: Path
) -> None:
    touched = tmp_path / "touched"
    refused = {
        f"copy (select 1) to program 'touch {touched}'": "SQLSTATE 42601",
        "select pg_read_file('/etc/hostname')": "SQLSTATE 42501",
        "select rolpassword from pg_authid": "SQLSTATE 42501",
        "select set_config('role', 'postgres', false)": "SQLSTATE 42501",
        "select set_config('session_authorization', 'postgres', false)": "SQLSTATE 42501",
        'with gone as (delete from "my shop".customers returning 1) select * from gone': "SQLSTATE",
        'select 1) as a; drop table "my shop".customers; select (1': "SQLSTATE 42601",
        "select nextval('\"my shop\".numbers')": "SQLSTATE (25006|42501)",
        'select no_such_column from "my shop".customers': "SQLSTATE 42703",
        "select 'canary-secret'::int": "SQLSTATE 22P02",
    }
    async with asked_about(session, customer) as questions:
        assert await questions.ask('select count(*) from "my shop".customers;', 5) == ["5000"]
        assert await questions.ask(
            'select id, 2 from "my shop".customers order by id -- all', 5
        ) == [
            "1",
            "2",
        ]
        assert await questions.ask("select 1 where false", 5) == []
        assert await questions.ask("select null", 5) == [None]
        (long,) = await questions.ask("select repeat('x', 100000000)", 20)
        assert long == "x" * 200
        for query, said in refused.items():
            with pytest.raises(CheckRefusedError, match=said) as raised:
                await questions.ask(query, 5)
            assert "canary" not in str(raised.value)
        with pytest.raises(CheckRefusedError, match=r"took longer than 0\.3 s"):
            await questions.ask("select pg_sleep(20)", 0.3)
        assert await questions.ask('select count(*) from "my shop".customers', 5) == ["5000"]
    assert not touched.exists()


async def test_without_a_server_of_the_version_no_throw_away_instance_is_made(
    session: Session, customer: Postgres
) -> None:
    with pytest.raises(ToolMissingError, match="PostgreSQL 99"):
        async with engine(customer).throw_away(session, "99.1"):
            pass


BAD: dict[str, tuple[Callable[[Postgres], Postgresql], str, type[PlatformError]]] = {
    "wrong password": (lambda s: engine(s, password="canary-wrong"), "x", AccessDeniedError),
    "unknown user": (lambda s: engine(s, user="nobody"), "x", AccessDeniedError),
    "unknown database": (engine, "no such", DatabaseMissingError),
    "name too long": (engine, "x" * 64, DatabaseMissingError),
    "name with NUL": (engine, "postgres\0user\0other", DatabaseMissingError),
    "nothing listens": (lambda s: engine(s, port=free_port()), "x", UnreachableError),
    "unknown host": (lambda s: engine(s, host="no-such-host.invalid"), "x", UnreachableError),
}


@pytest.mark.parametrize("fault", BAD)
async def test_a_fault_has_its_own_problem(
    session: Session, customer: Postgres, fault: str
) -> None:
    make, name, expected = BAD[fault]

    with pytest.raises(expected) as raised:
        await dumped(make(customer), session, name)

    assert raised.value.cause
    assert raised.value.fix
    assert "canary" not in str(raised.value)


async def test_a_server_without_tls_is_refused_unless_tls_is_turned_off(
    session: Session, customer: Postgres
) -> None:
    verifying = engine(customer, tls="verify-full")

    with pytest.raises(PlatformError, match="does not offer it") as raised:
        await verifying.test(session)

    assert raised.value.code == "engine.tls"


def tools(folder: Path, script: str) -> Workplace:
    """A workplace whose pg_dump says the right version and then runs `script`."""
    (folder / "tools").mkdir()
    tool = folder / "tools" / "pg_dump"
    version = 'if [ "$1" = --version ]; then echo "pg_dump (PostgreSQL) 16.14"; exit; fi'
    tool.write_text(f"#!/bin/sh\n{version}\n{script}\n")
    tool.chmod(0o755)
    return Workplace(folder=folder / "work", tool_folders=(folder / "tools",), allow_loopback=True)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("printf PGDMP; exit 1", ToolFailedError),
        ("printf PGDMP; kill -9 $$", ToolKilledError),
        ("printf PGDMP; echo 'FATAL: No space left on device' >&2; exit 1", PlatformError),
    ],
)
async def test_a_tool_that_does_not_end_well_is_never_believed(
    customer: Postgres, tmp_path: Path, script: str, expected: type[PlatformError]
) -> None:
    async with Local().session(tools(tmp_path, script)) as session:
        with pytest.raises(expected):
            await dumped(engine(customer), session, "postgres")


async def test_without_tools_of_the_version_the_package_is_named(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ToolMissingError) as raised:
        await find(session, "pg_dump", 99, tls=False)

    assert "postgresql-client-99" in raised.value.fix


async def dumped_while_stopping(server: Postgres, session: Session, name: str) -> None:
    async with engine(server).dump(session, name) as dump:
        output = dump.output()
        await anext(output)
        await asyncio.to_thread(server.stop, StopMode.IMMEDIATE)
        async for _ in output:
            pass
        await dump.ended()


async def test_a_server_that_stops_during_the_dump_is_named_as_the_cause(
    session: Session, tmp_path: Path
) -> None:
    big = "create table big as select i, repeat('x', 500) t from generate_series(1, 20000) i"
    with postgres_server(tmp_path / "server", major=16) as server:
        await run(server, big)
        with pytest.raises(PlatformError) as raised:
            await dumped_while_stopping(server, session, "postgres")

    assert raised.value.code == "engine.connection_lost"
