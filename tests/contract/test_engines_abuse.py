"""Hostile names never become anything but names: abuse case 1 of the threat model."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest

from services.executor.engines.base import Target
from services.executor.runners.base import Session
from shared.errors import PlatformError
from tests.contract.test_engines import HOSTILE, dumped, engine, run, session, stream
from tests.integration.executor.world import database
from tests.support.postgres import Postgres
from tests.support.waiting import eventually

__all__ = ["session"]  # the fixture

PIECES = (
    *(
        "--x",
        "-",
        "$(touch canary)",
        "`touch canary`",
        ";",
        "&&",
        "|",
        "\n",
        "\r\n",
        "\t",
        " ",
        "'",
    ),
    *(
        '"',
        "\\",
        "%",
        "*",
        "?",
        "../",
        "/etc/passwd",
        "postgresql://",
        "dbname=",
        "host=",
        "=",
        "@",
    ),
    *("service=", "é", "☃", "\x7f", "\x01", "a", "shop"),
)
_STARTED = re.compile(r'execve\("([^"]+)", \[(.*)\], ')


@asynccontextmanager
async def watched(trace: Path) -> AsyncIterator[None]:
    """Every program that this process or a child of it starts is written to `trace`."""
    watching = await asyncio.create_subprocess_exec(
        *("strace", "-f", "-e", "trace=execve", "-s", "4096", "-o", str(trace)),
        *("-p", str(os.getpid())),
        stderr=asyncio.subprocess.PIPE,
    )
    assert watching.stderr is not None
    attached = await asyncio.wait_for(watching.stderr.readline(), 10)
    if b"ermitted" in attached:
        pytest.skip("strace may not attach to a process here")
    try:
        yield
    finally:
        os.kill(watching.pid, signal.SIGINT)
        await watching.wait()


def started(trace: Path) -> list[tuple[str, str]]:
    """Program and arguments of each start that `watched` saw."""
    return _STARTED.findall(trace.read_text())


def names(count: int, seed: int) -> list[str]:
    random = Random(seed)
    return ["".join(random.choices(PIECES, k=random.randint(1, 5))) for _ in range(count)]


@pytest.mark.needs("strace")
async def test_tools_get_fixed_arguments_whatever_a_database_is_called(
    session: Session, customer: Postgres, tmp_path: Path
) -> None:
    """Abuse case 1: what is hostile is dumped and restored, and stands in no argument."""
    trace, work = tmp_path / "trace", tmp_path / "work"
    async with watched(trace):
        for number, hostile in enumerate(HOSTILE):
            name, target = f"{hostile} {number}", f"{hostile} restored {number}"
            async with database(customer, "create table t as select 1 as one", name=name):
                content, tables = await dumped(engine(customer), session, name)
                wanted = Target(database=target, restore_id=uuid4(), tables=tables)
                await engine(customer).restore(session, wanted, stream(content))
                quoted = target.replace('"', '""')
                await run(customer, f'drop database "{quoted}" with (force)')
        await eventually(lambda: len(started(trace)) >= 2 * len(HOSTILE))

    programs = {Path(program).name for program, _ in started(trace)}
    arguments = " ".join(argv for _, argv in started(trace))
    assert programs == {"pg_dump", "pg_restore"}
    assert not [
        one for one in ("touch", "template1", "other/db", "lines", "restored") if one in arguments
    ]
    assert not [*work.rglob("x"), *Path.cwd().glob("x")]


COUNTS = [60, pytest.param(1000, marks=pytest.mark.soak)]


@pytest.mark.needs("strace")
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("field", ["database", "user", "host"])
async def test_a_hostile_name_that_means_nothing_is_a_problem_and_starts_no_program(
    session: Session, customer: Postgres, tmp_path: Path, field: str, count: int
) -> None:
    """Abuse case 1: whatever it is, the problem is named and no tool is started."""
    trace = tmp_path / "trace"
    async with watched(trace):
        for name in names(count, seed=4711):
            given = engine(customer, **({} if field == "database" else {field: f"{name}."}))
            with pytest.raises(PlatformError) as problem:
                await dumped(given, session, name if field == "database" else "postgres")
            assert customer.password not in str(problem.value)

    assert started(trace) == []
