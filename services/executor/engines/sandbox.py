"""Where a throw-away instance runs: as nobody, with limits, on no network, as far as it goes here.

What it restores may hold code (functions, modules), and its superuser may start programs. So it
gets a folder, reached by its socket alone, and as little else as this machine lets us take away.
"""

from __future__ import annotations

import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from services.executor.runners import folders
from services.executor.runners.base import OnLine, RunnerError, Session, output_of

_NOBODY = 65534
_DESCRIPTOR = "9"
_OPENED = Path("/proc/self/fd")

OWN_USER = "no user of its own"
NO_NETWORK = "no network of its own"
LIMITS = "no limits"

# Enough for a segment of PostgreSQL (1 GiB), and for the processes of many instances of nobody.
_FILE_BYTES, _FILES, _PROCESSES = 2 << 30, 1024, 512
# The folder is opened before the rights go: its parents are ours alone, also to pass through.
_ENTER = f'cd "$0" && exec {_DESCRIPTOR}<. && cd / && exec "$@"'
# A change of the user forgets who the signal at a parent's death is for: asked once more.
_STILL_OURS = '[ "$PPID" = "$0" ] || exit 127; exec "$@"'


class Sandbox(msgspec.Struct, frozen=True, kw_only=True):
    """`inside`: the folder as the instance names it. `address`: as we do, short enough for a
    socket however deep the folder lies. `missing`: what this machine does not let us take away.
    """

    folder: Path
    inside: str
    address: str
    prefix: tuple[str, ...]
    owner: int
    missing: tuple[str, ...]

    def argv(self, *tool: str) -> list[str]:
        """The command that runs a tool in here."""
        return [*self.prefix, *tool]

    def write(self, name: str, content: bytes) -> str:
        """A file that only the instance reads, and its path in there."""
        path = self.folder / name
        folders.write_private(path, content)
        os.chown(path, self.owner, -1)  # -1: it stays ours
        return f"{self.inside}/{name}"


class _Way(msgspec.Struct, frozen=True, kw_only=True):
    """One way to run it, and what it leaves out."""

    wrapper: tuple[str, ...] = ()
    owner: int = -1
    missing: tuple[str, ...] = ()


@asynccontextmanager
async def sandbox(
    at: Session, server: str, *, on_line: OnLine | None = None
) -> AsyncIterator[Sandbox]:
    """The closest one in which this server can be started; `on_line` hears what it lacks."""
    folder = Path(await at.make_folder("instance"))
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        made = await _closest(at, folder, opened, server)
        if made.missing and on_line is not None:
            on_line(f"the throw-away instance is less apart than it should be: {_told(made)}")
        yield made
    finally:
        os.close(opened)


def _told(made: Sandbox) -> str:
    return ", ".join(made.missing) + " (see docs/engines.md, Test restores)"


async def _closest(at: Session, folder: Path, opened: int, server: str) -> Sandbox:
    for way in _ways(root=os.geteuid() == 0):
        made = _made(folder, opened, way)
        try:
            os.chown(folder, way.owner if way.owner >= 0 else os.geteuid(), -1)
            await output_of(at, made.argv(server, "--version"))
        except (RunnerError, PermissionError):
            continue
        return made
    return _made(folder, opened, _Way(missing=(OWN_USER, NO_NETWORK, LIMITS)))


def _made(folder: Path, opened: int, way: _Way) -> Sandbox:
    linux = _OPENED.is_dir()
    enter = ("sh", "-c", _ENTER, str(folder))
    ours = ("sh", "-c", _STILL_OURS, str(os.getpid()))
    return Sandbox(
        folder=folder,
        inside=str(_OPENED / _DESCRIPTOR) if linux else str(folder),
        address=f"/proc/{os.getpid()}/fd/{opened}" if linux else str(folder),
        prefix=(*enter, *way.wrapper, *ours),
        owner=way.owner,
        missing=way.missing,
    )


def _ways(*, root: bool) -> Iterator[_Way]:
    """From the closest to the most open."""
    if not root:
        alone = ("unshare", "--user", "--map-current-user", "--net", "--")
        yield _Way(wrapper=(*alone, *_limited()), missing=(OWN_USER,))
        yield _Way(wrapper=_limited(), missing=(OWN_USER, NO_NETWORK))
        return
    nobody = _limited(f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")
    yield _Way(wrapper=("unshare", "--net", "--", *nobody), owner=_NOBODY)
    yield _Way(wrapper=nobody, owner=_NOBODY, missing=(NO_NETWORK,))
    # PostgreSQL refuses root, so it is told another name; its rights to files stay root's.
    named = ("unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}", "--net", "--")
    yield _Way(wrapper=(*named, *_limited()), missing=(OWN_USER,))
    yield _Way(wrapper=named, missing=(OWN_USER, LIMITS))


def _limited(*user: str) -> tuple[str, ...]:
    """Nothing gains rights, and nothing fills the disk or takes the machine from its worker."""
    return (
        *("setpriv", *user, "--no-new-privs", "--pdeathsig", "KILL", "--"),
        *("prlimit", "--core=0", f"--fsize={_at_most(resource.RLIMIT_FSIZE, _FILE_BYTES)}"),
        f"--nofile={_at_most(resource.RLIMIT_NOFILE, _FILES)}",
        # The processes of a user are counted together: only of one that is not our own.
        *([f"--nproc={_PROCESSES}"] if user else []),
        *("--", "nice", "-n", "10", "--"),
    )


def _at_most(which: int, wanted: int) -> int:
    """A limit that is set already is only ever lowered."""
    hard = resource.getrlimit(which)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
