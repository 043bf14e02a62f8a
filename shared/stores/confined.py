"""Files below one folder, reached from its descriptor so that no link leads out of it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from shared.stores.base import ObjectInfo, StoreSettingsError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_folder(root: str, parts: tuple[str, ...], *, create: bool = False) -> int:
    """A descriptor of the folder; with `create`, missing folders are made and made durable."""
    try:
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise StoreSettingsError(
            "the store's directory does not exist", fix="create it, or mount it, then try again"
        ) from error
    for part in parts:
        inner = fd
        try:
            fd = _step(inner, part, create=create)
        finally:
            os.close(inner)
    return fd


def _step(folder: int, part: str, *, create: bool) -> int:
    try:
        return os.open(part, _FOLDER, dir_fd=folder)
    except FileNotFoundError:
        if not create:
            raise
    with suppress(FileExistsError):
        os.mkdir(part, 0o700, dir_fd=folder)
    os.fsync(folder)
    return os.open(part, _FOLDER, dir_fd=folder)


@contextmanager
def folder_at(root: str, parts: tuple[str, ...]) -> Iterator[int]:
    fd = open_folder(root, parts)
    try:
        yield fd
    finally:
        os.close(fd)


def open_object(root: str, parts: tuple[str, ...]) -> int:
    with folder_at(root, parts[:-1]) as folder:
        fd = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EISDIR, "not a file")
    return fd


def remove(root: str, parts: tuple[str, ...]) -> None:
    """Remove the file and the folders it leaves empty."""
    with suppress(FileNotFoundError), folder_at(root, parts[:-1]) as folder:
        os.unlink(parts[-1], dir_fd=folder)
        os.fsync(folder)
    for depth in range(len(parts) - 1, 0, -1):
        try:
            with folder_at(root, parts[: depth - 1]) as outer:
                os.rmdir(parts[depth - 1], dir_fd=outer)
        except OSError:
            return  # not empty, or gone already


def walk(root: str, parts: tuple[str, ...]) -> Iterator[ObjectInfo]:
    """Every regular file below the folder, unfinished ones too; links are not followed."""
    try:
        fd = open_folder(root, parts)
    except FileNotFoundError:
        return
    try:
        for entry in sorted(os.scandir(fd), key=lambda found: found.name):
            inner = (*parts, entry.name)
            if entry.is_dir(follow_symlinks=False):
                yield from walk(root, inner)
            elif entry.is_file(follow_symlinks=False):
                found = entry.stat(follow_symlinks=False)
                modified = datetime.fromtimestamp(found.st_mtime, UTC)
                yield ObjectInfo(key="/".join(inner), size=found.st_size, modified=modified)
    finally:
        os.close(fd)
