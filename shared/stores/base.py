"""What every store does: the contract, the errors, the names an object may have."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Protocol

import msgspec

from shared.errors import PlatformError

_COMPONENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}", re.ASCII)
_MAX_KEY = 900


class StoreError(PlatformError):
    """The store did not do what it was asked to; nothing more is known."""

    code = "store.failed"
    status = HTTPStatus.BAD_GATEWAY


class StoreUnreachableError(StoreError):
    """The store does not answer, or asks to be asked again later."""

    code = "store.unreachable"
    retryable = True
    default_fix = "check the address, the network and that the store is up, then try again"


class NoSpaceError(StoreError):
    """The store is full, or the quota or the largest file size is reached."""

    code = "store.no_space"
    status = HTTPStatus.INSUFFICIENT_STORAGE
    default_fix = "free space in the store, raise its quota, or choose another store"


class AccessDeniedError(StoreError):
    """The credentials are wrong, expired, or allow too little."""

    code = "store.access_denied"
    default_fix = "check the store's credentials and that they may list, read, write and delete"


class ObjectNotFoundError(StoreError):
    """No object has this name."""

    code = "store.object_not_found"
    status = HTTPStatus.NOT_FOUND


class ObjectExistsError(StoreError):
    """An object has this name already; objects are written once."""

    code = "store.object_exists"
    status = HTTPStatus.CONFLICT


class BadNameError(StoreError):
    """The name is not one an object may have."""

    code = "store.bad_name"
    status = HTTPStatus.BAD_REQUEST


class ObjectDamagedError(StoreError):
    """What the store gives back is not what was written."""

    code = "store.object_damaged"
    default_fix = "check the store's disk or service; nothing of this attempt was kept"


class StoreSettingsError(StoreError):
    """The store's configuration cannot work."""

    code = "store.settings"
    status = HTTPStatus.BAD_REQUEST


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What a finished `put` left: bytes, their SHA-256 in hex, and whether the store itself
    confirmed a checksum of them (`checked`); if not, the caller reads back."""

    size: int
    sha256: str
    checked: bool


class ObjectInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One object in a listing; `size` in bytes, `modified` in UTC."""

    key: str
    size: int
    modified: datetime


def key_parts(key: str) -> tuple[str, ...]:
    """The checked components of a key; `BadNameError` for anything that could leave the store.

    A component never begins with a dot: those names are the stores' own temporary files.
    """
    parts = tuple(key.split("/"))
    if len(key) > _MAX_KEY or not all(_COMPONENT.fullmatch(part) for part in parts):
        raise BadNameError(
            "an object name holds a part that is not allowed",
            fix="use letters, digits, '.', '_' and '-', parts divided by single '/'",
        )
    return parts


def prefix_parts(prefix: str) -> tuple[str, ...]:
    """Like `key_parts` for a folder: empty is the whole store, one trailing `/` is ignored."""
    return key_parts(prefix.removesuffix("/")) if prefix else ()


class Store(Protocol):
    """A place for objects. Every method may raise a `StoreError`; keys are checked first.

    Objects are written once and never changed. Prefixes are whole folders, never parts of names.
    """

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Stored:
        """Write a new object. Nothing is visible under the key until all of it is durable.

        `ObjectExistsError` if the key is taken. If this fails, is cancelled, or `chunks` raises,
        nothing stays behind (the store removes what it can; `abort_uploads` finds the rest).
        Memory is bounded; the source is read only as fast as the store takes it.
        """
        ...

    def get(self, key: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start`, at most `length` of them, in pieces of at most a few MiB.

        A range beyond the end gives what there is. `ObjectNotFoundError` at the first piece.
        """
        ...

    async def size(self, key: str) -> int:
        """Bytes of the object, or `ObjectNotFoundError`."""
        ...

    def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Every object under the folder, at any depth; the order is not promised."""
        ...

    async def delete(self, key: str) -> None:
        """Remove the object. Deleting what is not there succeeds."""
        ...

    async def lock(self, prefix: str) -> datetime | None:
        """Let nobody delete or change what stands under the folder, for as long as the settings
        say; until when. None where they say nothing, or the store cannot."""
        ...

    async def abort_uploads(self, prefix: str, older_than: timedelta) -> int:
        """Remove unfinished uploads under the folder that began that long ago; how many."""
        ...

    async def test(self) -> None:
        """Write, read back, compare and delete a small object; raise the likely problem."""
        ...

    @property
    def connects_to(self) -> tuple[str, int] | None:
        """Host and port that somebody's setting names; None where it names none."""
        ...

    async def free_bytes(self) -> int | None:
        """Bytes that can still be written, or None where a store cannot say."""
        ...


async def prove(store: Store) -> None:
    """The body of every `Store.test`: one small object goes in, comes back equal and goes."""
    key = f"holdfast-test/{secrets.token_hex(8)}"
    content = secrets.token_bytes(4096)

    async def once() -> AsyncIterator[bytes]:
        yield content

    await store.put(key, once())
    try:
        back = b"".join([piece async for piece in store.get(key)])
        if back != content:
            raise ObjectDamagedError("the store gave other bytes back than were written")
    finally:
        await store.delete(key)
