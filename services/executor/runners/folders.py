"""Private folders for secrets: seen by nobody else, and gone even after a kill."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_PREFIX = "session-"
_LOCK = ".lock"


def default_folder() -> Path:
    """Where sessions live unless told otherwise: in memory, so that no secret touches a disk."""
    memory = Path("/dev/shm")  # noqa: S108 - our own folder below it is 0700 and checked
    parent = memory if os.access(memory, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())
    return parent / f"holdfast-{os.getuid()}"


def default_test_folder() -> Path:
    """Where throw-away instances live unless told otherwise: on a disk, for they may be large."""
    return Path(tempfile.gettempdir()) / f"holdfast-tests-{os.getuid()}"


def prepare(folder: Path) -> None:
    """Make the parent folder; raises PermissionError when somebody else could look inside."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else")
    folder.chmod(0o700)


def sweep(folder: Path) -> int:
    """Delete the sessions whose worker is dead: nobody holds their lock. Returns how many."""
    swept = 0
    for session in folder.glob(f"{_PREFIX}*"):
        lock = _lock(session)
        if lock is None:
            continue
        shutil.rmtree(session, ignore_errors=True)
        os.close(lock)
        swept += 1
    return swept


@asynccontextmanager
async def private(parent: Path) -> AsyncIterator[Path]:
    """A new folder (0700) that exists as long as the block."""
    folder, lock = await asyncio.to_thread(_make, parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only we can read; whoever reads it now sees the old or the new content."""
    descriptor, new = tempfile.mkstemp(dir=path.parent)  # made with 0600
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    Path(new).replace(path)


def _make(parent: Path) -> tuple[Path, int]:
    prepare(parent)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        lock = _lock(folder)
        if lock is not None and folder.exists():
            return folder, lock
        if lock is not None:  # a worker that started just now swept it before it was ours
            os.close(lock)


def _lock(folder: Path) -> int | None:
    """The descriptor that holds the folder, or None when another process does."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
