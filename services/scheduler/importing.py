"""Rebuilds what is known of backups from the manifests in a store: into an empty installation.

The scheduler alone can open archives, so here the database's name and the dump's size are read from
those that one of its keys opens. Everything else stands in the manifest, which is believed only if
the platform that somebody named has certified its signer.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec
import structlog

from services.scheduler.endings import problem_of
from services.scheduler.orders import ACTOR
from services.scheduler.rewrapping import StoresById
from shared.archive.envelope import Envelope
from shared.archive.envelopes import newest_envelope, open_envelope
from shared.archive.errors import ArchiveError, NoKeyError, TruncatedError, UnsupportedError
from shared.archive.frames import (
    MAX_FRAME_BYTES,
    TRAILER_BYTES,
    ContentHeader,
    Preamble,
    Trailer,
    decode_header,
)
from shared.archive.header import Role
from shared.archive.keys import RecipientKey, Trust
from shared.archive.manifest import Body
from shared.archive.objects import load_manifest, read_small, require_sizes, verify_objects
from shared.archive.ranged import SealedObject
from shared.bus import Bus, Delivery, Expect, WrongSequenceError
from shared.bus.base import EVENTS
from shared.errors import PlatformError
from shared.messages.base import consequence, now
from shared.messages.facts import BackupImported, StoreImported, StoreImportRequested
from shared.messages.facts.stores import RefusedArchive
from shared.messages.values import ArchiveFacts, BackupType, Method, StoredObject
from shared.stores import Store

DURABLE = "scheduler-imports"
REQUESTS = ("evt.store.import_requested.core.>",)
MOST_NAMED = 100
_MANIFEST = re.compile(r"([0-9a-f-]{36})/(0|[1-9][0-9]{0,8})/manifest", re.ASCII)
_PREAMBLE_BYTES = 64 * 1024

_log = structlog.get_logger()


class Content(msgspec.Struct, frozen=True):
    """What only a key tells of an archive; what nobody can open is not known."""

    database: str = ""
    codec: str = ""
    raw_bytes: int = 0


class Tally:
    """What an import found."""

    def __init__(self) -> None:
        self.imported = self.known = self.refusals = 0
        self.refused: list[RefusedArchive] = []

    def refuse(self, prefix: str, error: PlatformError) -> None:
        self.refusals += 1
        if len(self.refused) < MOST_NAMED:
            self.refused.append(RefusedArchive(prefix=prefix, code=error.code))


class Imports:
    """Does one import after the other. One that is interrupted begins again: what it found before
    is known by then."""

    def __init__(
        self,
        bus: Bus,
        stores: StoresById,
        keys: tuple[RecipientKey, ...],
        found: Callable[[], None],
    ) -> None:
        self._bus, self._stores, self._keys, self._found = bus, stores, keys, found

    async def keep(self) -> None:
        """For ever."""
        await self._bus.work(DURABLE, EVENTS, REQUESTS, self.on_requested)

    async def on_requested(self, delivery: Delivery) -> None:
        """Search the store, say each backup that is new here, and at the end what was found.

        Raises retryable errors while the store or the bus does not answer.
        """
        asked = delivery.message
        if not isinstance(asked, StoreImportRequested):
            return
        began, tally, problem = time.monotonic(), Tally(), None
        try:
            store = await self._stores.open(asked.store_id)
            await self._search(store, asked, tally)
        except PlatformError as error:
            if error.retryable:
                raise
            problem = problem_of(error)
        self._found()
        await self._bus.append(
            StoreImported(
                id=consequence(asked.id, "imported"),
                actor=ACTOR,
                caused_by=asked.id,
                request_id=asked.request_id,
                store_id=asked.store_id,
                trusted=asked.trusted,
                imported=tally.imported,
                known=tally.known,
                refusals=tally.refusals,
                refused=tally.refused,
                seconds=round(time.monotonic() - began, 3),
                problem=problem,
            )
        )

    async def _search(self, store: Store, asked: StoreImportRequested, tally: Tally) -> None:
        for backup_id, attempts in sorted((await _attempts(store)).items()):
            said = await self._bus.last_of(f"evt.backup.*.*.{backup_id}")
            if any(one.message.caused_by == asked.id for one in said):
                tally.imported += 1  # by this very import, before it was interrupted
            elif said:
                tally.known += 1
            else:
                await self._import(store, asked, backup_id, sorted(attempts, reverse=True), tally)

    async def _import(
        self,
        store: Store,
        asked: StoreImportRequested,
        backup_id: UUID,
        attempts: Sequence[int],
        tally: Tally,
    ) -> None:
        """The newest attempt that verifies; those before it are another's garbage."""
        trusted = Trust.of(asked.trusted)
        for attempt in attempts:
            prefix = f"{backup_id}/{attempt}"
            try:
                body = await _believed(store, prefix, trusted, alone=len(attempts) == 1)
                fact = await self._fact(store, asked, prefix, body)
                # The id of the backup may have been taken meanwhile: then it is known.
                await self._bus.append(fact, expect=Expect(0, f"evt.backup.*.*.{backup_id}"))
            except WrongSequenceError:
                tally.known += 1
                return
            except ArchiveError as error:
                _log.warning("not_imported", prefix=prefix, code=error.code)
                tally.refuse(prefix, error)
            else:
                tally.imported += 1
                return

    async def _fact(
        self, store: Store, asked: StoreImportRequested, prefix: str, body: Body
    ) -> BackupImported:
        content = await self._content(store, prefix, body)
        manifest = await read_small(store, f"{prefix}/manifest")
        name, envelope = await newest_envelope(store, prefix)
        about = body.about
        return BackupImported(
            id=consequence(asked.id, f"imported {prefix}"),
            actor=asked.actor,
            caused_by=asked.id,
            request_id=asked.request_id,
            backup_id=UUID(body.backup_id),
            attempt=int(body.attempt),
            store_id=asked.store_id,
            prefix=prefix,
            signed_by=asked.trusted,
            database_id=_id(about.database_id),
            database_name=content.database or about.database_id,
            engine=about.engine,
            type_found=BackupType(about.type),
            method=Method(about.method),
            chain_id=_id(about.chain or body.backup_id),
            parent_id=_id(about.parent.backup_id) if about.parent else None,
            archive=ArchiveFacts(
                raw_bytes=content.raw_bytes,
                stored_bytes=sum(one.size for one in body.objects) + len(manifest) + len(envelope),
                manifest_sha256=hashlib.sha256(manifest).hexdigest(),
                codec=content.codec,
                tool=about.tool,
                tool_version=about.tool_version,
                server_version=about.server_version,
                consistency_point=about.consistency_point,
                taken_at=about.created_at or now(),
                objects=[
                    StoredObject(name=one.name, size_bytes=one.size, sha256=one.sha256)
                    for one in body.objects
                ]
                + [
                    StoredObject(
                        name=name,
                        size_bytes=len(envelope),
                        sha256=hashlib.sha256(envelope).hexdigest(),
                    )
                ],
                recipients=[*Envelope.decode(envelope).recipients],
            ),
        )

    async def _content(self, store: Store, prefix: str, body: Body) -> Content:
        try:
            key = await open_envelope(store, prefix, *self._keys)
        except NoKeyError:
            return Content()
        data = await SealedObject.open(store, prefix, body, Role.DATA, key)
        found = Preamble().feed(await data.read(0, _PREAMBLE_BYTES))
        if found is None:
            raise TruncatedError("the archive ends inside its inner header")
        header = decode_header(found[0], ContentHeader)
        if header.frame_bytes > MAX_FRAME_BYTES:
            raise UnsupportedError("the archive's frames are larger than this release reads")
        trailer = Trailer.decode(await data.read(data.length - TRAILER_BYTES, TRAILER_BYTES))
        return Content(header.database, header.codec, trailer.raw_length)


async def _attempts(store: Store) -> dict[UUID, list[int]]:
    """The attempts of each backup that left a manifest; without one there is no backup."""
    found: dict[UUID, list[int]] = {}
    async for info in store.list(""):
        match = _MANIFEST.fullmatch(info.key)
        if match:
            found.setdefault(UUID(match[1]), []).append(int(match[2]))
    return found


async def _believed(store: Store, prefix: str, trusted: Trust, *, alone: bool) -> Body:
    """The manifest, once its objects are found to be there. Storage reads them all afterwards;
    where another attempt could take its place, they are read now."""
    body = await load_manifest(store, prefix, trusted)
    await require_sizes(store, prefix, body)
    if not alone and not (await verify_objects(store, prefix, trusted)).ok:
        raise TruncatedError("an object is not what the manifest says")
    return body


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise UnsupportedError("the manifest names an id that is none") from None
