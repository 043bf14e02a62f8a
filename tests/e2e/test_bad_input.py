"""What goes wrong outside ends a run by name, leaves nothing behind, and tells no secret."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from resource import RLIMIT_FSIZE, prlimit
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from services.launcher.ports import free_port
from services.launcher.postgres import StopMode, bin_directory
from shared.bus.base import AUDIT_CKPT, COMMANDS, EVENTS, LOGS
from shared.stores.marker import MARKERS
from tests.integration.executor.shop import SHOP
from tests.support.platform import (
    Installed,
    command_line,
    environment_of,
    every_process,
    installed,
)
from tests.support.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

WRONG = "canary-wrong-4711"
RIGHT = "canary-right-4712"
ADMIN = "canary-admin-4713"
S3_SECRET = "canary-store-4714"
BIG = "create table big as select i, repeat(md5(i::text), 10) t from generate_series(1, 40000) i"
# What a tool becomes while the file `mode` beside it holds a script.
WRAPPER = """#!/bin/sh
if [ "$1" != --version ] && [ -s "{folder}/mode" ]; then . "{folder}/mode"; fi
exec "{real}" "$@"
"""


class House:
    """The platform of this module, its server and store, and tools that can be made fail."""

    def __init__(self, home: Installed, tools: Path) -> None:
        self.home, self.tools = home, tools
        self.server = self.store = ""
        self.archives: Path

    @contextmanager
    def tool(self, script: str) -> Iterator[None]:
        """Run this script before pg_dump and pg_restore, or instead if it exits."""
        (self.tools / "mode").write_text(script)
        try:
            yield
        finally:
            (self.tools / "mode").write_text("")

    async def failure(self, database: str = "shop", *, server: str = "", store: str = "") -> Any:
        """The problem of a backup that must fail, with the check that nothing is left of it."""
        asked = await self.home.request_backup(server or self.server, database, store or self.store)
        run = await self.home.ended(asked["run_id"], within_s=120)
        assert run["status"] == "failed", run
        assert run["problem"]["cause"]
        assert run["problem"]["fix"]
        await eventually(lambda: self.nothing_left(asked["id"]), within=30)
        return run["problem"]["code"]

    def nothing_left(self, backup_id: str) -> bool:
        return not [*self.archives.glob(f"{backup_id}/*/*"), *self.sessions()]

    def sessions(self) -> list[Path]:
        """Private folders of runs."""
        return list((self.home.folder / "work").glob("session-*"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("p")
    tools = folder / "tools"
    tools.mkdir()
    (tools / "mode").touch()
    for name in ("pg_dump", "pg_restore"):
        wrapper = tools / name
        wrapper.write_text(WRAPPER.format(folder=tools, real=bin_directory(16) / name))
        wrapper.chmod(0o755)
    settings = {
        "EXECUTOR_TOOL_FOLDERS": f"{tools}:{bin_directory(16)}",
        "STORAGE_LOOK_EVERY_S": "2",
    }
    async with installed(folder, settings=settings, password=ADMIN) as home:
        house = House(home, tools)
        await home.load("shop", f"create role operator login superuser password '{RIGHT}'; {SHOP}")
        house.server = await home.server(user="operator", password=RIGHT)
        house.store, house.archives = await home.local_store("archives")
        yield house


@pytest.mark.parametrize(
    ("engine", "database", "code"),
    [
        ({"user": "operator", "password": WRONG}, "shop", "engine.access_denied"),
        ({}, "no such database", "engine.database_missing"),
        ({"port": free_port()}, "shop", "engine.unreachable"),
        ({}, "dbname=shop", "engine.database_missing"),
        ({}, "-d shop; drop database shop", "engine.database_missing"),
        ({}, "$(touch x)`touch y`", "engine.database_missing"),
        ({}, "../../shop", "engine.database_missing"),
    ],
)
async def test_a_server_that_cannot_be_dumped_fails_the_run(
    house: House, engine: dict[str, Any], database: str, code: str, request: pytest.FixtureRequest
) -> None:
    server = await house.home.server(request.node.name[:110], **engine) if engine else ""

    assert await house.failure(database, server=server) == code


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("head -c 3000000 /dev/zero; exit 1", "engine.tool_failed"),
        ("head -c 3000000 /dev/zero; kill -9 $$", "engine.tool_killed"),
        ("echo 'out of memory' >&2; exit 1", "engine.tool_failed"),
    ],
)
async def test_a_dump_tool_that_fails_or_is_killed_fails_the_run(
    house: House, script: str, code: str
) -> None:
    with house.tool(script):
        found = await house.failure()

    assert found == code


async def test_a_server_that_restarts_during_the_dump_fails_the_run_only(house: House) -> None:
    home, postgres = house.home, house.home.customer.server
    await home.load("big", BIG)
    holder = await home.customer.database("big").connect()
    await holder.execute("begin; lock table big")
    waiting = "select count(*) from pg_stat_activity where wait_event = 'relation'"

    async def restart() -> None:
        await eventually(lambda: postgres.execute(waiting) == "1", within=60)
        await asyncio.to_thread(postgres.stop, StopMode.IMMEDIATE)
        await asyncio.to_thread(postgres.start)

    restarting = asyncio.create_task(restart())
    code = await house.failure("big")
    await restarting
    holder.terminate()
    again = await home.request_backup(house.server, "big", house.store)

    assert code == "engine.connection_lost"
    assert (await home.ended(again["run_id"]))["status"] == "completed"


@pytest.fixture
def small(house: House, tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB; where we may not mount one, the executor may write no more."""
    small = tmp_path / "small"
    small.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(small)]
    allowed = os.geteuid() == 0
    if allowed and subprocess.run(mounting, capture_output=True, check=False).returncode == 0:
        yield small
        subprocess.run(["umount", "--lazy", str(small)], check=True)
    else:
        pid = house.home.platform.children["executor"].pid
        before = prlimit(pid, RLIMIT_FSIZE)
        prlimit(pid, RLIMIT_FSIZE, (256 * 1024, before[1]))
        yield small
        prlimit(pid, RLIMIT_FSIZE, before)


async def test_a_store_without_space_fails_the_run_and_is_empty_afterwards(
    house: House, small: Path
) -> None:
    store = await house.home.store("small", {"kind": "local", "root": str(small)})

    assert await house.failure("shop", store=store) == "store.no_space"

    def left() -> list[Path]:
        return [one for one in small.rglob("*") if one.is_file() and one.parent.name != MARKERS]

    await eventually(lambda: not left(), within=30)


async def test_a_store_that_does_not_answer_fails_the_run(house: House) -> None:
    settings = {
        "kind": "s3",
        "bucket": "archives",
        "endpoint": f"http://127.0.0.1:{free_port()}",
        "access_key_id": "key",
        "secret_access_key": S3_SECRET,
        "region": "us-east-1",
        "allow_http": True,
    }
    store = await house.home.store("away", settings)

    assert (await house.failure(store=store)).startswith("store.")


async def test_a_database_with_a_hostile_name_is_backed_up_and_restored(house: House) -> None:
    """Abuse case 1, through the whole platform."""
    home, name = house.home, "we\"ird'; --clean $(touch x) /../ ☃"
    await home.load(name, "create table t as select 1 as one")
    asked = await home.request_backup(house.server, name, house.store)
    run = await home.ended(asked["run_id"])
    target = "-x \"new' one"
    await home.restore(asked["id"], house.server, target)
    connection = await home.customer.database(target).connect()
    found = await connection.fetchval("select one from t")
    await connection.close()

    assert run["status"] == "completed", run["problem"]
    assert found == 1


async def test_no_secret_is_told_anywhere(house: House) -> None:
    """Abuse cases 2 and 3: arguments, environments, streams, log files, every answer."""
    home = house.home
    async with processes() as seen:
        with house.tool("sleep 1"):
            asked = await home.request_backup(house.server, "shop", house.store)
            assert (await home.ended(asked["run_id"]))["status"] == "completed"
            await home.restore(asked["id"], house.server, "told_nothing")
    secrets = secrets_of(home)
    streams = {
        f"{stream} {one.subject}": one.data + json.dumps(one.headers).encode()
        for stream in (EVENTS, COMMANDS, LOGS, AUDIT_CKPT)
        for one in await home.messages(stream)
    }
    files = {str(path): path.read_bytes() for path in home.home.root.glob("logs/*")}
    answers = await every_answer(home)

    assert any("pg_dump" in place for place in seen)
    assert any("pg_restore" in place for place in seen)
    assert len(streams) > 20
    assert len(files) >= 10
    assert len(answers) > 20
    for place, text in {**seen, **streams, **files, **answers}.items():
        told = [name for name, value in secrets.items() if value in text]
        assert not told, f"{place} tells {told}"


@asynccontextmanager
async def processes() -> AsyncIterator[dict[str, bytes]]:
    """The arguments and environment of every process that was seen inside the block."""
    seen: dict[str, bytes] = {}

    async def look() -> None:
        while True:
            for pid in every_process():
                about = command_line(pid)
                seen[f"arguments of {pid}: {about[:200]!r}"] = about
                seen[f"environment of {pid}: {about[:200]!r}"] = environment_of(pid)
            await asyncio.sleep(0.02)

    looking = asyncio.create_task(look())
    try:
        yield seen
        assert not looking.done()
    finally:
        looking.cancel()


def secrets_of(home: Installed) -> dict[str, bytes]:
    """Everything that must never be told, by name."""
    keys = home.platform.installation.keys
    passwords = home.platform.installation.passwords
    found = {
        "the wrong password": WRONG.encode(),
        "the operator's password": RIGHT.encode(),
        "the superuser's password": home.customer.server.password.encode(),
        "the administrator's password": ADMIN.encode(),
        "the store's secret": S3_SECRET.encode(),
        "the embedded superuser's password": (home.home.postgres / "password").read_bytes(),
    }
    for path in passwords.file("").iterdir():
        found[path.name] = path.read_bytes().strip()
    for path in (keys.encryption_key, keys.secret_key, keys.kek, keys.audit_key, keys.recovery_key):
        found[path.name] = path.read_bytes().strip()
    return found


async def every_answer(home: Installed) -> dict[str, bytes]:
    """What the API answers to GETs: each list, and each thing in it."""
    answers: dict[str, bytes] = {}
    headers = {"Authorization": home.authorization}
    async with aiohttp.ClientSession(home.platform.url, headers=headers) as session:

        async def ask(path: str) -> Any:
            async with session.get(f"/api/v1{path}") as response:
                answers[path] = await response.read()
            return json.loads(answers[path] or b"null") if response.status == 200 else None

        for noun in ("servers", "stores", "backups", "runs", "databases", "policies", "audit/logs"):
            page = await ask(f"/{noun}")
            for one in page["items"]:
                if "id" in one:
                    await ask(f"/{noun}/{one['id']}")
        for run in (await ask("/runs"))["items"]:
            async with session.get(f"/api/v1/runs/{run['id']}/log") as response:
                answers[f"the log of {run['id']}"] = await response.read()
    return answers
