"""A throw-away instance has its folder, its socket and as little else as the machine lets us."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.executor.engines import Postgresql
from services.executor.engines.base import PermissionDeniedError
from services.executor.engines.postgresql.connection import connected
from services.executor.engines.redis import Redis
from services.executor.engines.redis.facts import told
from services.executor.engines.redis.wire import connected as spoken
from services.executor.engines.sandbox import LIMITS, NO_NETWORK, OWN_USER
from services.executor.runners import Local
from services.executor.runners.base import Session, Workplace
from tests.support.waiting import eventually

POSTGRESQL = Postgresql(host="unused", user="unused", tls="off")
REDIS = Redis(host="unused")
ROOT = os.geteuid() == 0
_ALONE = ["unshare", "--net"] if ROOT else ["unshare", "--user", "--map-current-user", "--net"]

DIES_WITH_ITS_WORKER = """
import asyncio, sys
from pathlib import Path
from tests.contract.test_sandbox import REDIS, opened, redis_pid

async def main() -> None:
    async with opened(Path(sys.argv[1])) as session, REDIS.throw_away(session, "7.0") as away:
        print(await redis_pid(away, session), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Session]:
    async with Local().session(Workplace(folder=folder)) as session:
        yield session


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[Session]:
    async with opened(tmp_path / "work") as session:
        yield session


async def redis_pid(away: Redis, session: Session) -> int:
    async with spoken(away, session) as connection:
        return int((await told(connection, "server"))["process_id"])


async def postgresql_pid(away: Postgresql, session: Session) -> int:
    async with connected(away, session, "postgres") as connection:
        row = await connection.row("select pg_read_file('postmaster.pid') as said")
    assert row is not None
    return int(row["said"].split("\n")[0])


@asynccontextmanager
async def running(kind: str, session: Session, lines: list[str]) -> AsyncIterator[Path]:
    """The instance's main process, below /proc."""
    if kind == "redis":
        async with REDIS.throw_away(session, "7.0", on_line=lines.append) as away:
            yield Path("/proc") / str(await redis_pid(away, session))
    else:
        async with POSTGRESQL.throw_away(session, "16.1", on_line=lines.append) as away:
            yield Path("/proc") / str(await postgresql_pid(away, session))


def may_be_alone() -> bool:
    return subprocess.run([*_ALONE, "true"], capture_output=True, check=False).returncode == 0


def gone(process: Path) -> bool:
    """Or dead, and nobody has asked for how it ended."""
    try:
        return field(process, "State")[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def field(process: Path, name: str) -> list[str]:
    lines = (process / "status").read_text().splitlines()
    return next(line.split()[1:] for line in lines if line.startswith(f"{name}:"))


def limits(process: Path) -> dict[str, list[str]]:
    """The soft and the hard limit by name."""
    lines = (process / "limits").read_text().splitlines()[1:]
    return {line[:26].strip(): line[26:].split()[:2] for line in lines}


@pytest.mark.parametrize("kind", ["postgresql", "redis"])
async def test_an_instance_has_limits_and_gains_no_rights(session: Session, kind: str) -> None:
    async with running(kind, session, []) as process:
        found = limits(process)
        no_new, nice = (
            field(process, "NoNewPrivs"),
            os.getpriority(os.PRIO_PROCESS, int(process.name)),
        )

    assert found["Max core file size"] == ["0", "0"]
    assert found["Max file size"] == [str(2 << 30)] * 2
    assert int(found["Max open files"][1]) <= 1024
    assert no_new == ["1"]
    assert nice >= 10


@pytest.mark.parametrize("kind", ["postgresql", "redis"])
async def test_an_instance_has_no_network_where_the_kernel_gives_it_one_of_its_own(
    session: Session, kind: str
) -> None:
    possible = may_be_alone()
    lines: list[str] = []

    async with running(kind, session, lines) as process:
        apart = (process / "ns/net").readlink() != Path("/proc/self/ns/net").readlink()
        devices = [line.split(":")[0].strip() for line in (process / "net/dev").open()][2:]

    assert apart == possible
    assert not apart or devices == ["lo"]
    assert any(NO_NETWORK in line for line in lines) != apart


@pytest.mark.skipif(not ROOT, reason="only root can become somebody else")
@pytest.mark.parametrize("kind", ["postgresql", "redis"])
async def test_under_root_an_instance_is_nobody(session: Session, kind: str) -> None:
    lines: list[str] = []

    async with running(kind, session, lines) as process:
        users, groups = field(process, "Uid"), field(process, "Gid")
        more, rights = field(process, "Groups"), field(process, "CapEff")
        processes = limits(process)["Max processes"]

    assert users == groups == ["65534"] * 4
    assert more == []
    assert int(rights[0], 16) == 0
    assert processes == ["512", "512"]
    assert not any(OWN_USER in line for line in lines)


@pytest.mark.skipif(not ROOT, reason="without root the instance is the executor's own user")
async def test_under_root_an_instance_reads_no_file_of_root(
    session: Session, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary")
    secret.chmod(0o600)
    password = Path(await session.write_file("password", b"canary"))

    async with (
        POSTGRESQL.throw_away(session, "16.1") as away,
        connected(away, session, "postgres") as connection,
    ):
        for path in (secret, password):
            with pytest.raises(PermissionDeniedError):
                await connection.row("select pg_read_file($1)", str(path))


async def test_what_a_machine_does_not_let_us_take_away_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here without any of the programs that could."""
    for name in ("sh", "redis-server"):
        found = shutil.which(name)
        assert found
        (tmp_path / name).symlink_to(found)
    monkeypatch.setenv("PATH", str(tmp_path))
    lines: list[str] = []

    async with opened(tmp_path / "work") as session, running("redis", session, lines) as process:
        assert process.exists()

    (line,) = lines
    assert all(one in line for one in (OWN_USER, NO_NETWORK, LIMITS))


async def test_an_instance_dies_with_its_worker_though_it_is_somebody_else(tmp_path: Path) -> None:
    process = await asyncio.to_thread(left_by_a_killed_worker, tmp_path / "work")

    await eventually(lambda: gone(process))


def left_by_a_killed_worker(folder: Path) -> Path:
    argv = [sys.executable, "-c", DIES_WITH_ITS_WORKER, str(folder)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout
        process = Path("/proc") / str(int(worker.stdout.readline()))
        assert not gone(process)
        worker.kill()
    return process
