"""Reading an archive again: every object as long as, and with the hash that, its manifest says."""

from __future__ import annotations

import hashlib
import re
from contextlib import aclosing

import msgspec

from shared.archive.envelopes import require_envelope
from shared.archive.errors import ArchiveError, ObjectChangedError, TruncatedError
from shared.archive.manifest import Body, Manifest
from shared.archive.objects import read_small, verified
from shared.messages.values import ArchiveFacts
from shared.pace import UNPACED, Pace
from shared.stores.base import ObjectDamagedError, ObjectNotFoundError, Store


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What the log says of an archive: the hash of its manifest, and those of its envelopes, by
    number, as far as they are known."""

    manifest_sha256: str
    envelopes: dict[int, str] = {}


def written(archive: ArchiveFacts, newest: tuple[int | None, str | None] = (None, None)) -> Written:
    """From the facts of an archive, and its newest envelope if that came later."""
    first = (re.fullmatch(r"envelope\.([0-9]+)", one.name) for one in archive.objects)
    hashes = (one.sha256 for one in archive.objects)
    known = {int(name[1]): sha256 for name, sha256 in zip(first, hashes, strict=True) if name}
    number, sha256 = newest
    if number and sha256:
        known[number] = sha256
    return Written(manifest_sha256=archive.manifest_sha256, envelopes=known)


async def read_again(store: Store, folder: str, expected: Written, pace: Pace = UNPACED) -> int:
    """Read all of the archive, a few MiB in memory at a time; returns the bytes read.

    The hashes of manifest and envelope stand in the log, so no key and no signature is needed.
    Raises an ArchiveError when the archive is damaged, another StoreError when the store cannot
    say.
    """
    try:
        manifest, body = await manifest_of(store, folder, expected.manifest_sha256)
        await require_envelope(store, folder, expected.envelopes)
        return len(manifest) + await _read_objects(store, folder, body, pace)
    except ObjectDamagedError as error:
        raise ObjectChangedError("the store itself says that an object is damaged") from error


async def manifest_of(store: Store, folder: str, manifest_sha256: str) -> tuple[bytes, Body]:
    """The manifest that the backup completed with; raises an ArchiveError for any other."""
    manifest = await read_small(store, f"{folder}/manifest")
    return manifest, _body(manifest, manifest_sha256)


def _body(manifest: bytes, manifest_sha256: str) -> Body:
    if hashlib.sha256(manifest).hexdigest() != manifest_sha256:
        raise ObjectChangedError("`manifest` is not the one that the backup completed with")
    try:
        return msgspec.json.decode(manifest, type=Manifest).body
    except msgspec.DecodeError as error:
        raise ArchiveError("the manifest cannot be read by this version") from error


async def _read_objects(store: Store, folder: str, body: Body, pace: Pace) -> int:
    total = 0
    for record in body.objects:
        try:
            async with aclosing(verified(store, folder, record)) as pieces:
                async for piece in pieces:
                    total += len(piece)
                    await pace.take(len(piece))
        except ObjectNotFoundError as error:
            raise TruncatedError(f"`{record.name}` is missing") from error
    return total
