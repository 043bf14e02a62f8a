"""The envelopes of an archive in a store: opening the newest, writing the next."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from typing import NamedTuple

from shared.archive.envelope import Envelope, seal_envelope
from shared.archive.errors import ArchiveError, EnvelopeTamperedError, NoKeyError, TruncatedError
from shared.archive.header import HEADER_BYTES, FileHeader, Role
from shared.archive.keys import Recipient, RecipientKey
from shared.archive.objects import read_small
from shared.archive.sealing import PREFACE, ChunkReader
from shared.stores.base import ObjectDamagedError, Store

_NAME = re.compile(r"envelope\.([1-9][0-9]{0,8})", re.ASCII)


async def open_envelope(store: Store, prefix: str, *keys: RecipientKey) -> bytes:
    """The archive key, from the highest envelope that verifies, by any of `keys`.

    `TruncatedError` without any; otherwise what is wrong with the highest one.
    """
    return (await _open(store, prefix, lambda envelope: envelope.open(*keys)))[1]


async def open_envelope_with_passphrase(store: Store, prefix: str, passphrase: str) -> bytes:
    """Like `open_envelope`, for archives sealed to a passphrase as well."""
    return (await _open(store, prefix, lambda envelope: envelope.open_with_passphrase(passphrase)))[
        1
    ]


class Sealed(NamedTuple):
    """The newest envelope of an archive: its number, the ids of the keys it is sealed to, and its
    hash, once it was written or read."""

    number: int
    recipients: tuple[str, ...]
    sha256: str = ""


async def rotate_envelope(
    store: Store,
    prefix: str,
    keys: tuple[RecipientKey, ...],
    recipients: tuple[Recipient, ...],
    *,
    passphrase: str | None = None,
) -> Sealed:
    """Seal the archive key to other recipients as `envelope.<n+1>`, and prove it.

    Any of `keys` opens the present envelope; what opens it by a passphrase stays. The key must be
    the one that `data` was encrypted with, and what was written must read back. Nothing is written
    where the newest envelope is sealed to these recipients already, so an interrupted rotation just
    begins again. No immutable object changes. The caller deletes older envelopes afterwards
    (`old_envelopes`): only then can the old keys open nothing any more.
    """
    present, archive_key = await _open(store, prefix, lambda envelope: envelope.open(*keys))
    await _require_commitment(store, prefix, present, archive_key)
    highest = (await _numbers(store, prefix))[0]
    wanted = tuple(one.id for one in recipients)
    if (present.number, present.recipients, passphrase) == (highest, wanted, None):
        return Sealed(highest, wanted, hashlib.sha256(present.encode()).hexdigest())
    number = highest + 1
    content = await asyncio.to_thread(
        lambda: seal_envelope(
            archive_key,
            backup_id=present.backup_id,
            attempt=present.attempt,
            number=number,
            file_ids=present.file_ids,
            recipients=recipients,
            passphrase=passphrase,
            kept=() if passphrase is not None else present.others,
        ).encode()
    )

    async def once() -> AsyncIterator[bytes]:
        yield content

    await store.put(f"{prefix}/envelope.{number}", once())
    if await read_small(store, f"{prefix}/envelope.{number}") != content:
        # It stays: the highest envelope that verifies counts, and that is still the one before.
        raise ObjectDamagedError("the new envelope reads back other than it was written")
    return Sealed(number, wanted, hashlib.sha256(content).hexdigest())


async def _require_commitment(
    store: Store, prefix: str, envelope: Envelope, archive_key: bytes
) -> None:
    """Raise unless `data` says that it was encrypted with this key; its content is not touched."""
    start = b""
    async for piece in store.get(f"{prefix}/data.0", 0, HEADER_BYTES + PREFACE):
        start += piece
    header = FileHeader.decode(start[:HEADER_BYTES])
    if header.file_id.hex() != envelope.file_ids.get("data"):
        raise EnvelopeTamperedError("the envelope is of other data")
    ChunkReader(archive_key, Role.DATA, envelope.backup_id, header, start[HEADER_BYTES:])


async def old_envelopes(store: Store, prefix: str) -> tuple[str, ...]:
    """The keys of all envelopes but the highest, newest first."""
    return tuple(f"{prefix}/envelope.{number}" for number in (await _numbers(store, prefix))[1:])


async def require_envelope(store: Store, prefix: str, known: Mapping[int, str]) -> None:
    """Raise an ArchiveError unless the newest envelope is the one that was written: by its hash
    where `known` has it, by number, else by its form alone. No key is needed."""
    name, content = await newest_envelope(store, prefix)
    number = int(name.rpartition(".")[2])
    if number not in known:
        _of_this_place(Envelope.decode(content), prefix, number)
    elif hashlib.sha256(content).hexdigest() != known[number]:
        raise EnvelopeTamperedError(f"`{name}` is not the one that was written")


async def newest_envelope(store: Store, prefix: str) -> tuple[str, bytes]:
    """Name and content of the highest envelope; `TruncatedError` without any."""
    numbers = await _numbers(store, prefix)
    if not numbers:
        raise TruncatedError("the archive has no envelope")
    try:
        name = f"envelope.{numbers[0]}"
        return name, await read_small(store, f"{prefix}/{name}")
    except TruncatedError:
        if await _numbers(store, prefix) == numbers:
            raise
        return await newest_envelope(store, prefix)  # sealed anew meanwhile


async def _open(
    store: Store, prefix: str, opened: Callable[[Envelope], bytes]
) -> tuple[Envelope, bytes]:
    problem: ArchiveError = TruncatedError("the archive has no envelope")
    numbers = await _numbers(store, prefix)
    for number in numbers:
        try:
            content = await read_small(store, f"{prefix}/envelope.{number}")
            envelope = _of_this_place(Envelope.decode(content), prefix, number)
            return envelope, await asyncio.to_thread(opened, envelope)
        except ArchiveError as error:
            if isinstance(problem, TruncatedError | NoKeyError):
                problem = error
    if await _numbers(store, prefix) != numbers:  # sealed anew meanwhile
        return await _open(store, prefix, opened)
    raise problem


def _of_this_place(envelope: Envelope, prefix: str, number: int) -> Envelope:
    place = [*prefix.split("/")[-2:], number]
    if [envelope.backup_id, envelope.attempt, envelope.number] != place:
        raise EnvelopeTamperedError("the envelope belongs to another archive, or another number")
    return envelope


async def _numbers(store: Store, prefix: str) -> list[int]:
    """The numbers of the envelopes there are, highest first."""
    numbers = []
    async for found in store.list(prefix):
        match = _NAME.fullmatch(found.key.removeprefix(f"{prefix}/"))
        if match:
            numbers.append(int(match.group(1)))
    return sorted(numbers, reverse=True)
