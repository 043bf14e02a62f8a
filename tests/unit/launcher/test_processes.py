"""Children of the launcher: restart, bounded logs, orderly and forced ends."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from services.launcher.processes import (
    Child,
    Command,
    bound_log,
    keep_running,
    last_line,
    restart_delay_s,
)
from tests.support.waiting import eventually


def command(folder: Path, script: str, **more: object) -> Command:
    return Command(
        name="script",
        argv=["/bin/sh", "-c", script],
        environment={"PATH": "/usr/bin:/bin", "TOKEN": "canary-4711"},
        log=folder / "logs" / "script.log",
        directory=folder,
        **more,
    )


def test_the_delay_before_a_restart_doubles_up_to_half_a_minute() -> None:
    assert [restart_delay_s(n) for n in (1, 2, 3, 7, 8, 1000)] == [0.5, 1, 2, 30, 30, 30]


def test_a_command_never_shows_its_environment(tmp_path: Path) -> None:
    assert "canary" not in repr(command(tmp_path, "true"))


def test_output_and_exit_status_are_kept(tmp_path: Path) -> None:
    child = Child(command(tmp_path, "echo said; echo complained >&2; exit 3"))

    assert child.wait(10) == 3
    assert child.command.log.read_text() == "said\ncomplained\n"


def _working_in(folder: Path) -> list[Path]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink() == folder:
                found.append(process)
    return found


async def test_stopping_kills_what_does_not_listen_and_what_it_started(tmp_path: Path) -> None:
    child = Child(command(tmp_path, "trap '' TERM; sleep 61 & echo ready; sleep 61; sleep 61"))
    while not child.command.log.read_text():
        pass

    assert child.stop(grace_s=0.2) == -signal.SIGKILL
    # A killed process that nobody waits for takes a moment to be gone.
    await eventually(lambda: not _working_in(tmp_path), what="nothing works in the folder")


def test_a_full_log_moves_aside_while_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * 100)
        bound_log(log, limit_bytes=50)
        writer.write(b"y" * 10)

    assert log.read_bytes() == b"y" * 10
    assert (tmp_path / "a.log.1").read_bytes() == b"x" * 100


def test_the_last_line_is_looked_for_after_a_position(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("FATAL: old\nLOG: a\nFATAL: new\nLOG: b\n")

    assert last_line(log) == "LOG: b"
    assert last_line(log, containing="FATAL") == "FATAL: new"
    assert last_line(log, since=len("FATAL: old\nLOG: a\nFATAL: new\n"), containing="FATAL") == ""


async def test_a_program_that_ends_is_started_again_until_cancelled(tmp_path: Path) -> None:
    children: list[Child] = []
    endings: list[tuple[int, float]] = []

    def start() -> Child:
        children.append(Child(command(tmp_path, "exit 7" if not children else "sleep 61")))
        return children[-1]

    task = asyncio.create_task(
        keep_running(start, on_end=lambda status, delay_s: endings.append((status, delay_s)))
    )
    await eventually(lambda: len(children) == 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert endings == [(7, 0.5)]
    assert children[1].exit_status == -signal.SIGTERM


async def test_a_child_that_has_ended_can_be_waited_for_again(tmp_path: Path) -> None:
    child = Child(command(tmp_path, "exit 3"))
    first = child.wait(10)

    assert (first, await child.ended()) == (3, 3)


async def test_a_program_that_ends_while_it_is_being_stopped_is_stopped(tmp_path: Path) -> None:
    children: list[Child] = []

    def start() -> Child:
        children.append(Child(command(tmp_path, "exit 0")))
        return children[-1]

    keeping = asyncio.create_task(keep_running(start))
    await asyncio.sleep(0)  # it has started the program, and has not looked at it since
    children[0].wait(10)
    keeping.cancel()

    with pytest.raises(asyncio.CancelledError):
        await keeping
