"""Redis: what is dumped comes back key by key, of every kind, and nothing half is believed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from services.executor.engines.base import (
    AccessDeniedError,
    ContentDiffersError,
    DatabaseMissingError,
    NotADumpError,
    PermissionDeniedError,
    Target,
    TargetExistsError,
    UnreachableError,
    VersionError,
)
from services.executor.engines.redis import Redis
from services.executor.engines.redis.rdb import Key, RdbReader
from services.executor.runners import Local
from services.executor.runners.base import Session, Workplace
from services.launcher.ports import free_port
from shared.errors import PlatformError
from shared.messages.values import TableContent
from tests.support.archives import local, make_plan, read_increment, write, write_increment
from tests.support.redis import RedisServer, redis_server

EVERY_KIND = """
SET plain hello
SET number 12345
SET big 123456789012
SET negative -7
SET binary "\\x00\\xff\\r\\n$5\\r\\n"
SET long {long}
SET expiring soon PX 100000000
RPUSH list a b c {long}
SADD numbers 1 2 3
SADD words one two three
HSET hash field value number 1 long {long}
ZADD zset 1.5 a -3 b inf c
XADD stream 1-1 field value
XADD stream 2-1 other thing
XGROUP CREATE stream readers 0
XREADGROUP GROUP readers me COUNT 1 STREAMS stream >
SETBIT bits 7000 1
PFADD log a b c
GEOADD places 13.4 52.5 berlin
FUNCTION LOAD "#!lua name=mine\\nredis.register_function('answer', function() return 42 end)"
EVAL "for i=1,3000 do redis.call('RPUSH','biglist',i) redis.call('SADD','bigset','m'..i) end" 0
EVAL "for i=1,3000 do redis.call('HSET','bighash','f'..i,i) redis.call('ZADD','bigz',i,i) end" 0
SELECT 3
SET other database
SET gone soon PX 90000000
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("source") / "data") as server:
        server.cli(stdin=EVERY_KIND.format(long="long_words_" * 40))
        yield server


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("empty") / "data") as server:
        yield server


@pytest.fixture
def target(empty: RedisServer) -> RedisServer:
    empty.cli("FLUSHALL")
    empty.cli("FUNCTION", "FLUSH")
    return empty


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[Session]:
    async with Local().session(Workplace(folder=tmp_path / "work", allow_loopback=True)) as session:
        yield session


def engine(server: RedisServer, **fields: Any) -> Redis:
    given = {"host": server.host, "port": server.port, "password": server.password, "tls": "off"}
    return Redis(**given | fields)


async def dumped(given: Redis, session: Session) -> tuple[bytes, list[TableContent]]:
    async with given.dump(session, "all") as dump:
        content = b"".join([piece async for piece in dump.output()])
        await dump.ended()
        assert dump.facts.server_version.startswith("7.")
        return content, dump.tables


async def stream(content: bytes, piece: int = 1000) -> AsyncIterator[bytes]:
    for at in range(0, len(content), piece):
        yield content[at : at + piece]


def wanted(tables: list[TableContent]) -> Target:
    return Target(database="all", restore_id=uuid4(), tables=tables)


async def test_a_test_says_the_version_and_a_discovery_the_one_database(
    session: Session, source: RedisServer
) -> None:
    assert (await engine(source).test(session)).startswith("7.")
    (found,) = await engine(source).databases(session)
    assert found.name == "all"
    assert (found.size_bytes or 0) > 1000


@pytest.mark.parametrize("diskless", ["yes", "no"])
async def test_every_kind_of_value_comes_back_the_same(
    session: Session, source: RedisServer, target: RedisServer, diskless: str
) -> None:
    source.cli("CONFIG", "SET", "repl-diskless-sync", diskless)
    content, tables = await dumped(engine(source), session)
    restore = wanted(tables)

    restored = await engine(target).restore(session, restore, stream(content))
    again = await engine(target).restore(session, restore, stream(content))
    kept = await engine(target).undo_restore(session, restore)

    target.cli("DEL", f"holdfast:restored:{restore.restore_id.hex}")
    assert target.digest() == source.digest() != "0" * 40
    assert target.cli("FCALL", "answer", "0") == "42"
    assert int(target.cli("PTTL", "expiring")) > 1_000_000
    assert target.cli("GET", "other", database=3) == "database"
    assert restored.raw_bytes == again.raw_bytes == len(content)
    assert kept is not None
    assert [(one.name, one.rows) for one in restored.tables] == [
        ("db0: keys that never expire", 19),
        ("db3: keys that never expire", 1),
    ]
    assert restored.tables == tables


async def test_keys_that_change_during_the_dump_change_neither_dump_nor_record(
    session: Session, target: RedisServer, tmp_path: Path
) -> None:
    with redis_server(tmp_path / "busy") as busy:
        busy.cli("DEBUG", "POPULATE", "20000", "key", "200")
        async with engine(busy).dump(session, "all") as dump:
            output = dump.output()
            content = await anext(output)
            busy.cli("DEL", *(f"key:{number}" for number in range(100)))
            busy.cli("SET", "another", "key")
            content += b"".join([piece async for piece in output])
            await dump.ended()
        await engine(target).restore(session, wanted(dump.tables), stream(content, 1 << 20))

    assert [one.rows for one in dump.tables] == [20_000]
    assert target.cli("GET", "key:7").startswith("value:7")


async def test_an_increment_of_a_changed_instance_is_small_and_restores_the_change(
    session: Session, target: RedisServer, tmp_path: Path
) -> None:
    """The chain of any stream-shaped engine, on this one."""
    store = local(tmp_path / "store")
    with redis_server(tmp_path / "growing") as growing:
        growing.cli("DEBUG", "POPULATE", "20000", "key", "200")
        first, _ = await dumped(engine(growing), session)
        full = await write(store, first, make_plan(backup_id="full"))
        growing.cli("SET", "key:77", "changed")
        growing.cli("SET", "new", "one")
        second, tables = await dumped(engine(growing), session)
        increment = await write_increment(store, second, make_plan(backup_id="increment"), "full")
        digest = growing.digest()

    raw = await read_increment(store, "increment", "full")
    await engine(target).restore(session, wanted(tables), stream(raw, 1 << 20))

    target.cli("DEL", *target.cli("KEYS", "holdfast:*").split())
    assert target.digest() == digest
    assert increment.fresh_bytes < full.raw_bytes / 3  # two chunks, each at most 64 KiB


async def test_an_instance_that_holds_anything_is_never_touched(
    session: Session, source: RedisServer, target: RedisServer
) -> None:
    content, tables = await dumped(engine(source), session)
    target.cli("SET", "mine", "1", database=5)

    with pytest.raises(TargetExistsError, match="not empty"):
        await engine(target).restore(session, wanted(tables), stream(content))
    await engine(target).undo_restore(session, wanted(tables))

    assert target.cli("GET", "mine", database=5) == "1"


async def test_a_cut_or_changed_dump_is_refused_and_leaves_nothing(
    session: Session, source: RedisServer, target: RedisServer
) -> None:
    content, tables = await dumped(engine(source), session)
    chance = random.Random(1)
    bad = [
        content[:cut] for cut in (0, 3, 9, len(content) // 2, len(content) - 9, len(content) - 1)
    ]
    bad.append(content + b"!")
    for _ in range(10):
        at = chance.randrange(len(content))
        bad.append(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    for one in bad:
        with pytest.raises(PlatformError):
            await engine(target).restore(session, wanted(tables), stream(one))

        assert target.cli("INFO", "keyspace") == "# Keyspace"


async def test_a_difference_after_the_restore_is_a_failure_and_leaves_nothing(
    session: Session, source: RedisServer, target: RedisServer
) -> None:
    content, tables = await dumped(engine(source), session)
    tables[0] = msgspec.structs.replace(tables[0], rows=tables[0].rows + 1)

    with pytest.raises(ContentDiffersError, match="db0"):
        await engine(target).restore(session, wanted(tables), stream(content))

    assert target.cli("INFO", "keyspace") == "# Keyspace"


async def test_an_interrupted_restore_is_removed_by_its_own_id_only(
    session: Session, source: RedisServer, target: RedisServer
) -> None:
    content, tables = await dumped(engine(source), session)
    restore = wanted(tables)
    target.cli("SET", f"holdfast:restoring:{restore.restore_id.hex}", "1")
    target.cli("SET", "half", "done")

    await engine(target).undo_restore(session, wanted(tables))
    kept = target.cli("GET", "half")
    await engine(target).restore(session, restore, stream(content))

    assert kept == "done"
    assert target.cli("EXISTS", "half") == "0"
    assert target.cli("GET", "plain") == "hello"


async def test_a_server_that_dies_during_the_dump_is_never_a_whole_one(
    session: Session, tmp_path: Path
) -> None:
    with redis_server(tmp_path / "dying") as dying:
        dying.cli("DEBUG", "POPULATE", "200000", "key", "300")
        async with engine(dying).dump(session, "all") as dump:
            output = dump.output()
            await anext(output)
            await asyncio.to_thread(dying.kill)
            with pytest.raises(PlatformError):
                async for _ in output:
                    pass
            with pytest.raises(NotADumpError):
                await dump.ended()


async def test_a_throw_away_instance_holds_the_dump_and_is_gone_after(
    session: Session, source: RedisServer
) -> None:
    content, tables = await dumped(engine(source), session)

    async with engine(source).throw_away(session, "7.0") as away:
        restored = await away.restore(session, wanted(tables), stream(content))

    assert restored.tables == tables
    with pytest.raises(UnreachableError):
        await away.test(session)


BAD: dict[str, tuple[Callable[[RedisServer], Redis], type[PlatformError]]] = {
    "wrong password": (lambda s: engine(s, password="canary-wrong"), AccessDeniedError),
    "no password": (lambda s: engine(s, password=""), AccessDeniedError),
    "unknown user": (lambda s: engine(s, user="nobody"), AccessDeniedError),
    "nothing listens": (lambda s: engine(s, port=free_port()), UnreachableError),
    "unknown host": (lambda s: engine(s, host="no-such-host.invalid"), UnreachableError),
}


@pytest.mark.parametrize("fault", BAD)
async def test_a_fault_has_its_own_problem(
    session: Session, source: RedisServer, fault: str
) -> None:
    make, expected = BAD[fault]

    with pytest.raises(expected) as raised:
        await make(source).test(session)

    assert raised.value.cause
    assert raised.value.fix
    assert "canary" not in str(raised.value)


async def test_a_server_without_tls_is_refused_unless_tls_is_turned_off(
    session: Session, source: RedisServer
) -> None:
    with pytest.raises(PlatformError) as raised:
        await engine(source, tls="verify-full").test(session)

    assert raised.value.code == "engine.tls"


async def test_a_user_with_too_few_rights_is_told_so(session: Session, source: RedisServer) -> None:
    source.cli("ACL", "SETUSER", "reader", "on", ">reader", "~*", "+ping", "+info")

    with pytest.raises(PermissionDeniedError):
        await dumped(engine(source, user="reader", password="reader"), session)


async def test_another_database_than_the_whole_is_refused(
    session: Session, source: RedisServer
) -> None:
    with pytest.raises(DatabaseMissingError, match="`all`"):
        async with engine(source).dump(session, "0"):
            pass


async def test_any_pieces_give_the_same_keys(session: Session, source: RedisServer) -> None:
    content, _ = await dumped(engine(source), session)

    def keys(piece: int) -> list[Any]:
        reader = RdbReader()
        found = [
            entry
            for at in range(0, len(content), piece)
            for entry in reader.feed(content[at : at + piece])
        ]
        return [*found, *reader.finish()]

    whole = keys(len(content))
    assert keys(1) == keys(17) == keys(4096) == whole
    assert len([one for one in whole if isinstance(one, Key)]) == 22


@pytest.mark.parametrize("version", [b"0004", b"0099"])
def test_an_unknown_version_is_refused(version: bytes) -> None:
    with pytest.raises(VersionError):
        [*RdbReader().feed(b"REDIS" + version + b"\xff")]
