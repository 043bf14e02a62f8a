"""What a runner promises: how an engine's tools run where the database server is reached from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from pathlib import Path
from typing import Protocol, TypeAlias

import msgspec

from shared.errors import PlatformError

ERRORS_TAIL_BYTES = 64 << 10
"""How much of a tool's standard error is remembered: the end, where the reason stands."""

Bytes: TypeAlias = AsyncIterator[bytes | bytearray]
OnLine: TypeAlias = Callable[[str], None]


class RunnerError(PlatformError):
    """A tool could not be run."""

    code = "runner.failed"
    status = HTTPStatus.BAD_GATEWAY


class ToolNotStartedError(RunnerError):
    """The operating system refused to start the tool."""

    code = "runner.not_started"
    default_fix = "check that the tool is installed and may be executed by the executor's user"


class Workplace(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker gives to every runner: from its own settings, never from an order.

    `folder`: private (0700) parent of the sessions' folders, best in memory. `test_folder`: the
    same on a disk, for the throw-away instances of restore tests. `tool_folders`: where to look
    for tools before anywhere else. `allow_loopback`: whether the worker's own machine may be a
    database server or a store, as where everything runs on one.
    """

    folder: Path
    test_folder: Path = Path()
    tool_folders: tuple[Path, ...] = ()
    allow_loopback: bool = False


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How a tool ended: `status` 0..255, or None and the `signal` that killed it.

    `errors` is the end of its standard error, at most `ERRORS_TAIL_BYTES`.
    """

    status: int | None
    signal: int | None = None
    errors: str = ""

    @property
    def well(self) -> bool:
        return self.status == 0


class Process(Protocol):
    """One running tool."""

    def output(self) -> Bytes:
        """Its standard output, once, in pieces of at most 1 MiB, as fast as they are taken.

        What is not taken stays in the pipe, so a slow reader slows the tool down. It ends with
        the output, whatever the exit status is: await `exited` before believing it.
        """
        ...

    async def exited(self) -> Exit:
        """Wait for the end. An error of the stdin given to `start` is raised here."""
        ...

    async def kill(self) -> None:
        """Kill the tool and everything it started, and wait until it is gone. Repeatable."""
        ...


class Session(Protocol):
    """A private place where tools run: its files are readable by nobody else, and end with it."""

    async def which(self, tool: str, *, folders: Sequence[str] = ()) -> list[str]:
        """Every place of the executable: configured folders first, then `folders`, then PATH."""
        ...

    async def write_file(self, name: str, content: bytes) -> str:
        """Put or replace a file (0600), and return the path a tool finds it under."""
        ...

    async def make_folder(self, name: str) -> str:
        """Make a folder (0700) for a tool that is to have nothing else, and return its path."""
        ...

    def read_file(self, name: str) -> Bytes:
        """The content of a file of the session, in pieces of at most 1 MiB."""
        ...

    def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: Bytes | None = None,
        on_line: OnLine | None = None,
    ) -> AbstractAsyncContextManager[Process]:
        """Run a tool; at the end of the block it is killed if it still lives.

        `argv` is passed on as it is, never through a shell. The tool sees `env` and a fixed
        minimum (PATH, LANG, HOME = the session's folder), nothing of the worker's environment.
        `stdin` is fed as fast as the tool takes it, and read to its end even if the tool ends
        well before; if it raises, the tool is killed, never given a good end. `on_line` hears
        each line of standard error (at most 2,000 characters). A runner makes sure that the tool
        does not outlive the worker, however that one ends.
        """
        ...

    def reach(self, host: str, port: int) -> AbstractAsyncContextManager[tuple[list[str], int]]:
        """Addresses under which the executor itself reaches what the tool calls `host:port`.

        Raises AddressForbiddenError or NameUnknownError.
        """
        ...

    async def addresses(self, host: str, port: int) -> list[str]:
        """The IP addresses that a tool is to connect to instead of asking for the name again.

        Raises as `reach` does.
        """
        ...


class Runner(Protocol):
    """One way to run tools. A frozen tagged struct: its fields are the configuration."""

    def session(self, workplace: Workplace) -> AbstractAsyncContextManager[Session]:
        """Open a place to run tools; raises a `RunnerError` with the likely problem."""
        ...


async def output_of(session: Session, argv: Sequence[str], *, limit: int = 1 << 20) -> str:
    """What a small tool prints; raises `RunnerError` when it fails or prints more than `limit`."""
    printed = b""
    async with session.start(argv) as process:
        async for piece in process.output():
            printed += piece
            if len(printed) > limit:
                raise RunnerError(f"{argv[0]} printed more than {limit} bytes")
        ended = await process.exited()
    if not ended.well:
        raise RunnerError(f"{argv[0]} ended with status {ended.status}")
    return printed.decode(errors="replace")
