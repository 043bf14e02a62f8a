"""The runner `local`: tools run as child processes of the executor."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from services.executor.runners import folders
from services.executor.runners.base import (
    ERRORS_TAIL_BYTES,
    Bytes,
    Exit,
    OnLine,
    Process,
    Session,
    ToolNotStartedError,
    Workplace,
)
from services.executor.runners.lines import Lines
from services.executor.runners.pipes import PIECE_BYTES, ReadingEnd, WritingEnd, widen
from shared.addresses import reachable
from shared.ending import in_time

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PR_SET_PDEATHSIG = 1
_KILL_WAIT_S = 10.0
# A grandchild may hold standard error open after the tool has ended.
_ERRORS_WAIT_S = 1.0


class Local(msgspec.Struct, frozen=True, tag="local", tag_field="kind", forbid_unknown_fields=True):
    """Tools run on the executor's own machine and reach the database over the network."""

    @asynccontextmanager
    async def session(self, workplace: Workplace) -> AsyncIterator[Session]:
        """A folder of mode 0700 that is deleted at the end, or when the next worker starts."""
        async with folders.private(workplace.folder) as folder:
            yield LocalSession(folder, workplace)


class LocalSession:
    """See `Session`."""

    def __init__(self, folder: Path, workplace: Workplace) -> None:
        self._folder, self._workplace = folder, workplace
        self._path = os.environ.get("PATH", _PATH)

    async def which(self, tool: str, *, folders: Sequence[str] = ()) -> list[str]:
        places = [*map(str, self._workplace.tool_folders), *folders, *self._path.split(":")]
        found = (shutil.which(tool, path=place) for place in places if place)
        return list(dict.fromkeys(path for path in found if path))

    async def write_file(self, name: str, content: bytes) -> str:
        path = self._at(name)
        await asyncio.to_thread(folders.write_private, path, content)
        return str(path)

    async def make_folder(self, name: str) -> str:
        path = self._at(name)
        await asyncio.to_thread(path.mkdir, mode=0o700)
        return str(path)

    async def read_file(self, name: str) -> Bytes:
        with await asyncio.to_thread(self._at(name).open, "rb") as file:
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                yield piece

    @asynccontextmanager
    async def start(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdin: Bytes | None = None,
        on_line: OnLine | None = None,
    ) -> AsyncIterator[Process]:
        tool = await _spawn(argv, self._environment(env or {}), self._folder, stdin, on_line)
        try:
            yield tool
        finally:
            await tool.close()

    @asynccontextmanager
    async def reach(self, host: str, port: int) -> AsyncIterator[tuple[list[str], int]]:
        yield await self.addresses(host, port), port

    async def addresses(self, host: str, port: int) -> list[str]:
        found = await reachable(
            host, port, allow_private=True, allow_loopback=self._workplace.allow_loopback
        )
        return [address for _, address in found]

    def _environment(self, additions: Mapping[str, str]) -> dict[str, str]:
        home = str(self._folder)
        return {"PATH": self._path, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "HOME": home} | dict(
            additions
        )

    def _at(self, name: str) -> Path:
        if Path(name).name != name or name in {"", ".", ".."}:
            raise ValueError(f"not a plain file name: {name!r}")
        return self._folder / name


class LocalProcess:
    """See `Process`. The tool leads a process group of its own, so that all of it can be killed."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        out: ReadingEnd,
        err: ReadingEnd,
        feed: tuple[WritingEnd, Bytes] | None,
        on_line: OnLine | None,
    ) -> None:
        self._process, self._out, self._err = process, out, err
        self._lines = Lines(ERRORS_TAIL_BYTES, on_line)
        self._broken: Exception | None = None
        self._reading = asyncio.create_task(self._read_errors())
        self._feeding = asyncio.create_task(self._feed(*feed)) if feed else None

    async def output(self) -> Bytes:
        async for piece in self._out.pieces():
            yield piece

    async def exited(self) -> Exit:
        status = await self._process.wait()
        with suppress(TimeoutError):
            async with asyncio.timeout(_ERRORS_WAIT_S):
                await asyncio.shield(self._reading)
        if self._feeding is not None:
            await self._fed(well=status == 0)
        errors = self._lines.tail()
        if status < 0:
            return Exit(status=None, signal=-status, errors=errors)
        return Exit(status=status, errors=errors)

    async def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await in_time(self._process.wait(), _KILL_WAIT_S)

    async def close(self) -> None:
        """End whatever still runs and give every descriptor back."""
        try:
            await self.kill()
        finally:
            tasks = [task for task in (self._feeding, self._reading) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._out.close()
            self._err.close()

    async def _read_errors(self) -> None:
        async for piece in self._err.pieces():
            self._lines.add(piece)
        self._lines.end()

    async def _fed(self, *, well: bool) -> None:
        """Raise what stdin raised; without a good end of the tool its rest is of no interest."""
        assert self._feeding is not None
        if not well and not self._feeding.done():
            self._feeding.cancel()
        await asyncio.wait({self._feeding})
        if self._broken is not None:
            raise self._broken
        if not self._feeding.cancelled():
            self._feeding.result()

    async def _feed(self, end: WritingEnd, stdin: Bytes) -> None:
        try:
            async for piece in stdin:
                try:
                    await end.write(piece)
                except BrokenPipeError:
                    end.close()  # enough for the tool; but whether stdin ends well counts still
        except Exception as error:
            self._broken = error  # before the tool ends by it, and its end is asked for the cause
            await self.kill()
            raise
        finally:
            end.close()


async def _spawn(
    argv: Sequence[str],
    env: dict[str, str],
    folder: Path,
    stdin: Bytes | None,
    on_line: OnLine | None,
) -> LocalProcess:
    ours: list[int] = []
    theirs: list[int] = []
    try:
        for reading in (True, True) if stdin is None else (True, True, False):
            near, far = os.pipe() if reading else reversed(os.pipe())
            widen(near)
            ours.append(near)
            theirs.append(far)
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else theirs[2],
            stdout=theirs[0],
            stderr=theirs[1],
            env=env,
            cwd=folder,
            start_new_session=True,
            preexec_fn=_dies_with(os.getpid()),
        )
    except (OSError, ValueError) as error:
        _close(ours)
        reason = error.strerror if isinstance(error, OSError) else "an argument holds a NUL byte"
        raise ToolNotStartedError(f"{Path(argv[0]).name} cannot be started: {reason}") from error
    except BaseException:
        _close(ours)
        raise
    finally:
        _close(theirs)
    feed = None if stdin is None else (WritingEnd(ours[2]), stdin)
    return LocalProcess(process, ReadingEnd(ours[0]), ReadingEnd(ours[1]), feed, on_line)


def _close(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _dies_with(parent: int) -> Callable[[], None] | None:
    """What the child does before it becomes the tool: ask to be killed when the worker dies."""
    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError):
        return None  # not Linux: a closed pipe has to be enough

    def before_exec() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we could ask
            os._exit(127)

    return before_exec
