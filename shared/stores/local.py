"""A store in a folder of this machine, or one mounted alike wherever it is used."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, ClassVar, TypeVar

import msgspec
from msgspec import Meta

from shared.stores import confined
from shared.stores.base import (
    AccessDeniedError,
    BadNameError,
    NoSpaceError,
    ObjectDamagedError,
    ObjectExistsError,
    ObjectInfo,
    ObjectNotFoundError,
    Stored,
    StoreError,
    key_parts,
    prefix_parts,
    prove,
)

_T = TypeVar("_T")
_PIECE = 1 << 20
_WRITE_OUT = 8 << 20
"""So much is handed to the disk at a time while more is written: the end has little to wait for."""
_READ_AHEAD = 4 << 20
"""So much is asked of the disk beyond what is waited for: its own read-ahead is a tenth of that."""
_UNFINISHED = ".part"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_UNREADABLE = {errno.EIO, errno.EUCLEAN}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


class Local(msgspec.Struct, tag="local", tag_field="kind", frozen=True, forbid_unknown_fields=True):
    """A folder. Every access walks from the folder's descriptor and follows no link."""

    label: ClassVar[str] = "Folder"

    root: Annotated[
        str,
        Meta(
            title="Directory",
            description="An existing directory, mounted alike wherever a service uses this store",
            min_length=1,
            max_length=4096,
            pattern=r"^/[^\x00]*$",
        ),
    ]

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Stored:
        parts = key_parts(key)
        file = _Unfinished(self.root, parts)
        try:
            await _in_thread(file.open)
            async for chunk in chunks:
                await _in_thread(partial(file.write, chunk))
            return await _in_thread(file.finish)
        finally:
            # Not awaited through cancellation: two system calls, and they must happen.
            file.discard()

    async def get(
        self, key: str, start: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        parts = key_parts(key)
        fd = await _in_thread(lambda: confined.open_object(self.root, parts))
        try:
            end = None if length is None else start + length
            while end is None or start < end:
                want = _PIECE if end is None else min(_PIECE, end - start)
                piece = await _readable(partial(_read, fd, want, start, end))
                if not piece:
                    return
                start += len(piece)
                yield piece
        finally:
            os.close(fd)

    async def size(self, key: str) -> int:
        parts = key_parts(key)

        def measure() -> int:
            fd = confined.open_object(self.root, parts)
            try:
                return os.fstat(fd).st_size
            finally:
                os.close(fd)

        return await _in_thread(measure)

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        parts = prefix_parts(prefix)
        for info in await _in_thread(lambda: [*confined.walk(self.root, parts)]):
            if not _is_unfinished(info.key):
                yield info

    async def delete(self, key: str) -> None:
        parts = key_parts(key)
        await _in_thread(lambda: confined.remove(self.root, parts))

    async def lock(self, prefix: str) -> datetime | None:
        prefix_parts(prefix)
        return None

    async def abort_uploads(self, prefix: str, older_than: timedelta) -> int:
        parts = prefix_parts(prefix)
        before = datetime.now(UTC) - older_than

        def abort() -> int:
            old = [
                info
                for info in confined.walk(self.root, parts)
                if _is_unfinished(info.key) and info.modified <= before
            ]
            for info in old:
                confined.remove(self.root, tuple(info.key.split("/")))
            return len(old)

        return await _in_thread(abort)

    async def test(self) -> None:
        await prove(self)

    @property
    def connects_to(self) -> tuple[str, int] | None:
        return None

    async def free_bytes(self) -> int | None:
        def measure() -> int:
            with confined.folder_at(self.root, ()) as fd:
                room = os.fstatvfs(fd)
            return room.f_bavail * room.f_frsize

        return await _in_thread(measure)


def _read(fd: int, length: int, start: int, end: int | None) -> bytes:
    ahead = _READ_AHEAD if end is None else min(_READ_AHEAD, end - start)
    os.posix_fadvise(fd, start, ahead, os.POSIX_FADV_WILLNEED)
    return os.pread(fd, length, start)


class _Unfinished:
    """A file under a temporary name that becomes the object, or vanishes."""

    def __init__(self, root: str, parts: tuple[str, ...]) -> None:
        self._root, self._parts = root, parts
        self._folder: int | None = None
        self._name = parts[-1]
        self._temporary: str | None = f".{self._name[:150]}.{secrets.token_hex(6)}{_UNFINISHED}"
        self._file: int | None = None
        self._digest = hashlib.sha256()
        self._size = self._on_its_way = 0

    def open(self) -> None:
        for last in (False, False, True):
            try:
                self._folder = confined.open_folder(self._root, self._parts[:-1], create=True)
                self._refuse_existing()
                self._file = os.open(self._temporary or "", _NEW, 0o600, dir_fd=self._folder)
            except FileNotFoundError:  # a deletion swept the folder away while it was empty
                self.discard()
                if last:
                    raise
            else:
                return

    def _refuse_existing(self) -> None:
        with suppress(FileNotFoundError):
            os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
            raise FileExistsError(errno.EEXIST, "exists")

    def write(self, data: bytes) -> None:
        assert self._file is not None
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        self._digest.update(data)
        self._size += len(data)
        if self._size - self._on_its_way >= _WRITE_OUT:
            self._write_out(self._file)

    def _write_out(self, file: int) -> None:
        """For dirty pages this advice begins their writing, and does not wait for it."""
        length = self._size - self._on_its_way
        os.posix_fadvise(file, self._on_its_way, length, os.POSIX_FADV_DONTNEED)
        self._on_its_way = self._size

    def finish(self) -> Stored:
        assert self._file is not None
        assert self._folder is not None
        assert self._temporary is not None
        os.fsync(self._file)
        # So that the read-back that follows asks the disk, not the memory it was written from.
        os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)
        try:
            os.link(
                self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder
            )  # unlike a rename, this refuses an existing name
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._refuse_existing()
            os.rename(self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
            self._temporary = None
        else:
            os.unlink(self._temporary, dir_fd=self._folder)
            self._temporary = None
        os.fsync(self._folder)
        return Stored(size=self._size, sha256=self._digest.hexdigest(), checked=False)

    def discard(self) -> None:
        """Close everything; remove what is still under the temporary name. Safe to repeat."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._folder is not None:
            if self._temporary is not None:
                with suppress(OSError):
                    os.unlink(self._temporary, dir_fd=self._folder)
            os.close(self._folder)
            self._folder = None


async def _in_thread(work: Callable[[], _T]) -> _T:
    """Run a file call in a thread. A cancelled caller still waits for it, so that what follows
    never closes a descriptor under a call in flight."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        running.exception()  # seen, and of no more interest
        raise
    except OSError as error:
        raise _named(error) from error


async def _readable(work: Callable[[], bytes]) -> bytes:
    """As `_in_thread`; what the disk gives back no more is damaged, not just away."""
    try:
        return await _in_thread(work)
    except StoreError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in _UNREADABLE:
            raise ObjectDamagedError("the disk cannot read a part of the object") from error
        raise


def _named(error: OSError) -> StoreError:
    if error.errno in _FULL:
        return NoSpaceError("the store's disk is full, or a quota or file size limit is reached")
    if error.errno in _FORBIDDEN:
        return AccessDeniedError(
            "the store's directory may not be read or written by this user",
            fix="give the user that runs Holdfast read and write access to the directory",
        )
    if error.errno == errno.ENOENT:
        return ObjectNotFoundError("no such object in the store")
    if error.errno == errno.EEXIST:
        return ObjectExistsError("the store already holds an object of this name")
    if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EISDIR}:
        return BadNameError(
            "a part of the object's path is a link, or not a folder",
            fix="remove links from the store's directory",
        )
    return StoreError(f"the store's disk answered: {os.strerror(error.errno or errno.EIO)}")


def _is_unfinished(key: str) -> bool:
    name = key.rsplit("/", 1)[-1]
    return name.startswith(".") and name.endswith(_UNFINISHED)
