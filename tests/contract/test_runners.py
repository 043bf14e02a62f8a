"""What every runner promises. A new runner: one more entry in RUNNERS."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import get_args

import pytest

from services.executor.runners import AnyRunner, Local, folders
from services.executor.runners.base import (
    RunnerError,
    Session,
    ToolNotStartedError,
    Workplace,
    output_of,
)
from tests.support.waiting import eventually

RUNNERS = {"local": Local()}


@pytest.fixture(params=RUNNERS)
async def session(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Session]:
    async with RUNNERS[request.param].session(Workplace(folder=tmp_path / "work")) as session:
        yield session


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece


def test_the_suite_runs_over_every_runner() -> None:
    known = get_args(AnyRunner) or (AnyRunner,)

    assert {one.__struct_config__.tag for one in known} == RUNNERS.keys()


async def test_arguments_arrive_as_they_are_and_never_through_a_shell(session: Session) -> None:
    hostile = ["$(touch x)", "; rm -rf y", "a\nb", "-v", "`id`", "* ?", "'\"", "ünï ☃"]

    printed = await output_of(session, ["printf", "%s\\0", *hostile])

    assert printed.split("\0")[:-1] == hostile


async def test_the_tool_sees_what_it_is_given_and_nothing_of_the_worker(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NATS_PASSWORD", "canary")

    async with session.start(["env", "-0"], env={"PGHOST": "a\nb"}) as process:
        printed = b"".join([piece async for piece in process.output()])

    seen = dict(line.split(b"=", 1) for line in printed.split(b"\0") if line)
    assert seen[b"PGHOST"] == b"a\nb"
    assert seen.keys() <= {b"PGHOST", b"PATH", b"LANG", b"LC_ALL", b"HOME", b"PWD"}


async def test_stdin_and_stdout_carry_every_byte(session: Session) -> None:
    block = os.urandom(1 << 20)

    async with session.start(["cat"], stdin=pieces(*[block] * 20)) as process:
        received = b"".join([piece async for piece in process.output()])
        ended = await process.exited()

    assert ended.well
    assert received == block * 20


async def test_a_slow_reader_slows_the_tool_down(session: Session) -> None:
    script = "import sys\nfor i in range(100):\n sys.stdout.buffer.write(bytes(1 << 20))\n"
    script += " sys.stderr.write(f'{i}\\n'); sys.stderr.flush()\n"
    written: list[str] = []

    async with session.start([sys.executable, "-c", script], on_line=written.append) as process:
        output = process.output()
        first = await anext(output)
        await asyncio.sleep(0.3)
        ahead = len(written)
        rest = sum([len(piece) async for piece in output])
        ended = await process.exited()

    assert ended.well
    assert ahead <= 5
    assert len(first) + rest == 100 << 20


async def test_exit_status_signal_and_the_end_of_the_errors_are_told(session: Session) -> None:
    script = "for i in $(seq 20000); do echo line $i >&2; done; exit 3"
    async with session.start(["sh", "-c", script]) as process:
        failed = await process.exited()
    async with session.start(["sh", "-c", "kill -9 $$"]) as process:
        killed = await process.exited()

    assert (failed.status, failed.signal, failed.well) == (3, None, False)
    assert failed.errors.endswith("line 20000\n")
    assert len(failed.errors) <= 64 << 10
    assert (killed.status, killed.signal, killed.well) == (None, signal.SIGKILL, False)


async def test_a_broken_stdin_never_looks_like_its_end_to_the_tool(
    session: Session, tmp_path: Path
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"first"
        raise RunnerError("the archive is damaged")

    came_to_its_end = tmp_path / "end"
    argv = ["sh", "-c", 'cat > /dev/null; touch "$1"', "sh", str(came_to_its_end)]
    async with session.start(argv, stdin=broken()) as process:
        with pytest.raises(RunnerError, match="damaged"):
            await process.exited()

    assert not came_to_its_end.exists()


async def test_what_is_wrong_at_the_end_of_stdin_counts_even_if_the_tool_took_less(
    session: Session,
) -> None:
    async def broken_late() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield bytes(1 << 20)
        raise RunnerError("the trailer is wrong")

    async with session.start(["true"], stdin=broken_late()) as process:
        with pytest.raises(RunnerError, match="trailer"):
            await process.exited()


async def test_a_tool_is_killed_with_everything_it_started(session: Session) -> None:
    argv = ["sh", "-c", "sleep 100 & echo $!; sleep 100"]
    async with session.start(argv) as process:
        grandchild = int(await anext(process.output()))
        await process.kill()
        ended = await process.exited()

    assert ended.signal == signal.SIGKILL
    await eventually(lambda: not alive(grandchild))


async def test_nothing_runs_after_the_block_whatever_ends_it(session: Session) -> None:
    pids: list[int] = []

    async def fails() -> None:
        async with session.start(["sh", "-c", "echo $$; exec sleep 100"]) as process:
            pids.append(int(await anext(process.output())))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fails()

    assert not alive(pids[0])


async def test_files_are_private_and_gone_with_the_session(tmp_path: Path) -> None:
    workplace = Workplace(folder=tmp_path / "work")
    async with Local().session(workplace) as session:
        path = await session.write_file("secret", b"canary")
        printed = await output_of(session, ["cat", path])
        read = b"".join([piece async for piece in session.read_file("secret")])
        modes = [stat.S_IMODE(one.stat().st_mode) for one in (Path(path), Path(path).parent)]

    assert (printed, read) == ("canary", b"canary")
    assert modes == [0o600, 0o700]
    assert not Path(path).exists()
    assert stat.S_IMODE(workplace.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["../x", "/etc/x", "", ".", "..", "a/b"])
async def test_a_file_name_leads_nowhere_else(session: Session, name: str) -> None:
    with pytest.raises(ValueError, match="plain file name"):
        await session.write_file(name, b"")


async def test_a_tool_that_is_not_there_or_cannot_run_is_a_named_problem(session: Session) -> None:
    for argv in (["/no/such/tool"], ["true", "a\0b"]):
        with pytest.raises(ToolNotStartedError):
            async with session.start(argv):
                pass


async def test_tools_are_found_in_the_order_of_trust(tmp_path: Path) -> None:
    configured, known = tmp_path / "configured", tmp_path / "known"
    for folder in (configured, known):
        folder.mkdir()
        (folder / "true").write_text("#!/bin/sh\n")
        (folder / "true").chmod(0o755)
    workplace = Workplace(folder=tmp_path / "work", tool_folders=(configured,))

    async with Local().session(workplace) as session:
        found = await session.which("true", folders=[str(known)])
        missing = await session.which("no-such-tool")

    assert found[:2] == [str(configured / "true"), str(known / "true")]
    assert len(found) > 2
    assert missing == []


KILLED_WORKER = """
import asyncio, os, sys
from pathlib import Path
from services.executor.runners import Local
from services.executor.runners.base import Workplace

async def main():
    async with Local().session(Workplace(folder=Path(sys.argv[1]))) as session:
        path = await session.write_file("secret", b"canary")
        async with session.start(["sh", "-c", "echo $$; exec sleep 100"]) as process:
            print(int(await anext(process.output())), path, flush=True)
            await asyncio.sleep(100)

asyncio.run(main())
"""


def test_a_killed_worker_leaves_no_tool_and_its_secrets_go_at_the_next_start(
    tmp_path: Path,
) -> None:
    work = tmp_path / "work"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED_WORKER, str(work)], stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        pid, path = worker.stdout.readline().split()
        swept_while_alive = folders.sweep(work)
        kept = Path(path).exists()
        worker.kill()

    until = time.monotonic() + 5
    while alive(int(pid)) and time.monotonic() < until:
        time.sleep(0.02)
    swept = folders.sweep(work)

    assert (swept_while_alive, kept) == (0, True)
    assert not alive(int(pid))
    assert swept == 1
    assert list(work.iterdir()) == []


def test_a_work_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)

    with pytest.raises(PermissionError):
        folders.prepare(tmp_path / "link")


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead but not yet collected does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
