"""Child processes that die with their parent, log to a bounded file and come back after a crash."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog

from services.launcher.errors import LaunchError

LOG_LIMIT_BYTES = 16 * 1024 * 1024
LOG_CHECK_EVERY_S = 5.0
STOP_GRACE_S = 10.0
RESTART_DELAY_S = 0.5
RESTART_DELAY_LIMIT_S = 30.0
STEADY_AFTER_S = 60.0

# The death signal is set after any change of user (which would clear it) and before the program;
# the parent may have died in between, hence the look at PPID.
_STILL_MY_PARENT = '[ "$PPID" = "$0" ] && exec "$@"'


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A program to run; `environment` is the whole of it and may hold secrets, `argv` never.

    `confine` is an argv prefix that changes the user; `death_signal` is what the kernel sends when
    the thread that started the child ends, however it ends.
    """

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    directory: Path
    confine: Sequence[str] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL

    def __repr__(self) -> str:
        return f"Command({self.name!r}, {list(self.argv)!r})"


class Child:
    """A running program in its own process group. Start it from a thread that lives on."""

    def __init__(self, command: Command) -> None:
        self.command = command
        command.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        bound_log(command.log)
        with command.log.open("ab") as log:
            self._process = subprocess.Popen(
                _argv(command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=command.directory,
                env=dict(command.environment),
                process_group=0,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_status(self) -> int | None:
        """None while it runs; minus the signal's number if a signal ended it."""
        return self._process.poll()

    def wait(self, within_s: float) -> int:
        """Its exit status; raises TimeoutError if it still runs after `within_s`."""
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.command.name} runs after {within_s} s") from None

    async def ended(self) -> int:
        """Wait without a thread until it ends; its exit status."""
        if (status := self.exit_status) is not None:
            return status  # its number may be another process's by now
        loop = asyncio.get_running_loop()
        descriptor = os.pidfd_open(self.pid)
        ending = asyncio.Event()
        loop.add_reader(descriptor, ending.set)
        try:
            await ending.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return self._process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program alone; nothing happens if it has ended."""
        self._process.send_signal(number)

    def stop(self, *, number: signal.Signals | None = None, grace_s: float = STOP_GRACE_S) -> int:
        """End it in order, by force after `grace_s`; then nothing of its group is left."""
        self.send(number or self.command.stop_signal)
        try:
            self.wait(grace_s)
        except TimeoutError:
            structlog.get_logger().warning("killed", program=self.command.name, after_s=grace_s)
        return self.kill()

    def kill(self) -> int:
        """SIGKILL for it and for everything that it started in its group; its exit status."""
        with suppress(ProcessLookupError):  # the whole group is gone
            os.killpg(self.pid, signal.SIGKILL)
        return self._process.wait()


async def keep_running(
    start: Callable[[], Child], *, on_end: Callable[[int, float], None] = lambda *_: None
) -> None:
    """Start a program again whenever it ends, until cancelled; then stop it in order.

    `on_end` hears the exit status and the delay in seconds before the next start.
    """
    failures = 0
    while True:
        began = time.monotonic()
        child = start()
        try:
            status = await _ended_with_bounded_log(child)
        except asyncio.CancelledError:
            child.send(child.command.stop_signal)
            await _until_ended(child, STOP_GRACE_S)
            raise
        finally:
            child.kill()
        failures = 1 if time.monotonic() - began > STEADY_AFTER_S else failures + 1
        delay_s = restart_delay_s(failures)
        on_end(status, delay_s)
        await asyncio.sleep(delay_s)


def restart_delay_s(failures: int) -> float:
    """How long to wait after the n-th ending in a row: doubling, from half a second to 30."""
    return float(min(RESTART_DELAY_S * 2 ** (min(failures, 20) - 1), RESTART_DELAY_LIMIT_S))


def bound_log(path: Path, limit_bytes: int = LOG_LIMIT_BYTES) -> None:
    """Move a log that has grown too large to `<name>.1`, while its writer goes on appending."""
    if path.exists() and path.stat().st_size > limit_bytes:
        shutil.copyfile(path, path.with_name(f"{path.name}.1"))
        os.truncate(path, 0)


def last_line(log: Path, *, since: int = 0, containing: str = "") -> str:
    """The last line that a program wrote after byte `since`; empty if it wrote none."""
    with log.open("rb") as written:
        written.seek(since)
        lines = written.read().decode(errors="replace").splitlines()
    return next((line for line in reversed(lines) if containing in line and line.strip()), "")


def _argv(command: Command) -> list[str]:
    if (setpriv := shutil.which("setpriv")) is None:
        raise LaunchError("`setpriv` is not on PATH", fix="install the package util-linux")
    death = [setpriv, "--pdeathsig", command.death_signal.name.removeprefix("SIG"), "--"]
    return [
        *command.confine,
        *death,
        *("/bin/sh", "-c", _STILL_MY_PARENT, str(os.getpid())),
        *command.argv,
    ]


async def _ended_with_bounded_log(child: Child) -> int:
    ending = asyncio.ensure_future(child.ended())
    try:
        while not ending.done():
            await asyncio.wait({ending}, timeout=LOG_CHECK_EVERY_S)
            bound_log(child.command.log)
        return ending.result()
    finally:
        ending.cancel()


async def _until_ended(child: Child, within_s: float) -> None:
    try:
        async with asyncio.timeout(within_s):
            await child.ended()
    except TimeoutError:
        structlog.get_logger().warning("killed", program=child.command.name, after_s=within_s)
