"""The envelopes of an archive in a store: opening the newest, writing the next."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable

from shared.archive.envelope import Envelope, seal_envelope
from shared.archive.errors import ArchiveError, EnvelopeTamperedError, NoKeyError, TruncatedError
from shared.archive.keys import Recipient, RecipientKey
from shared.archive.objects import read_small
from shared.stores.base import ObjectDamagedError, Store

_NAME = re.compile(r"envelope\.([1-9][0-9]{0,8})", re.ASCII)


async def open_envelope(store: Store, prefix: str, key: RecipientKey) -> bytes:
    """The archive key, from the highest envelope that verifies.

    `TruncatedError` without any; otherwise what is wrong with the highest one.
    """
    return (await _open(store, prefix, lambda envelope: envelope.open(key)))[1]


async def open_envelope_with_passphrase(store: Store, prefix: str, passphrase: str) -> bytes:
    """Like `open_envelope`, for archives sealed to a passphrase as well."""
    return (await _open(store, prefix, lambda envelope: envelope.open_with_passphrase(passphrase)))[
        1
    ]


async def rotate_envelope(
    store: Store,
    prefix: str,
    key: RecipientKey,
    recipients: tuple[Recipient, ...],
    *,
    passphrase: str | None = None,
) -> int:
    """Seal the archive key to other recipients as `envelope.<n+1>` and read it back; n + 1.

    `key` opens the present envelope. No immutable object changes. The caller deletes older
    envelopes afterwards (`old_envelopes`): only then can the old keys open nothing any more.
    """
    present, archive_key = await _open(store, prefix, lambda envelope: envelope.open(key))
    number = (await _numbers(store, prefix))[0] + 1
    content = await asyncio.to_thread(
        lambda: seal_envelope(
            archive_key,
            backup_id=present.backup_id,
            attempt=present.attempt,
            number=number,
            file_ids=present.file_ids,
            recipients=recipients,
            passphrase=passphrase,
        ).encode()
    )

    async def once() -> AsyncIterator[bytes]:
        yield content

    await store.put(f"{prefix}/envelope.{number}", once())
    if await read_small(store, f"{prefix}/envelope.{number}") != content:
        await store.delete(f"{prefix}/envelope.{number}")
        raise ObjectDamagedError("the new envelope reads back other than it was written")
    return number


async def old_envelopes(store: Store, prefix: str) -> tuple[str, ...]:
    """The keys of all envelopes but the highest, newest first."""
    return tuple(f"{prefix}/envelope.{number}" for number in (await _numbers(store, prefix))[1:])


async def newest_envelope(store: Store, prefix: str) -> tuple[str, bytes]:
    """Name and content of the highest envelope; `TruncatedError` without any."""
    for number in await _numbers(store, prefix):
        name = f"envelope.{number}"
        return name, await read_small(store, f"{prefix}/{name}")
    raise TruncatedError("the archive has no envelope")


async def _open(
    store: Store, prefix: str, opened: Callable[[Envelope], bytes]
) -> tuple[Envelope, bytes]:
    problem: ArchiveError = TruncatedError("the archive has no envelope")
    for number in await _numbers(store, prefix):
        content = await read_small(store, f"{prefix}/envelope.{number}")
        try:
            envelope = _of_this_place(Envelope.decode(content), prefix, number)
            return envelope, await asyncio.to_thread(opened, envelope)
        except ArchiveError as error:
            if isinstance(problem, TruncatedError | NoKeyError):
                problem = error
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
