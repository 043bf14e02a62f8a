"""What a download reads: the archive, those it builds on, and the keys that were sealed for it."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Row, select

from services.gateway.archive_stream import Source
from services.gateway.dependencies import Dependencies
from services.gateway.errors import DownloadRefusedError, LinkGoneError, NotDownloadableError
from services.gateway.links import Link
from shared.archive.chain import Link as ChainLink
from shared.archive.keys import Trust
from shared.keys.downloads import open_archive_key
from shared.keys.opened import open_store_config
from shared.messages.base import consequence
from shared.messages.facts import (
    BackupDownloadGranted,
    BackupDownloadRefused,
    BackupDownloadRequested,
)
from shared.messages.values import ArchiveFacts
from shared.messages.wire import decode
from shared.readmodel.configured import platform_of, store_of
from shared.readmodel.tables import archives, backup_metadata, event_log, platform, stores
from shared.stores import Store, open_store
from shared.stores.paced import paced
from shared.stores.reach import require_permitted

Granted: TypeAlias = tuple[BackupDownloadGranted, BackupDownloadRequested]
"""What the scheduler sealed, and the request it sealed it for."""


class Whereabouts(msgspec.Struct, frozen=True):
    """The store and the folder of an archive."""

    store_id: str
    prefix: str


async def whereabouts(deps: Dependencies, row: Row[Any]) -> Whereabouts:
    """Where an archive of the backup stands: a good one in its own store, else a good copy, else
    what stands in its own store, to look at. Raises NotDownloadableError."""
    own = Whereabouts(row.store_id, row.prefix) if row.status == "completed" else None
    if own is not None and row.proof != "corrupt":
        return own
    good = select(archives.c.store_id, archives.c.prefix).where(
        archives.c.backup_id == row.id,
        archives.c.status == "stored",
        archives.c.proof != "corrupt",
    )
    if row.delete_requested_at is None:
        copy = await deps.read_model.one(good.order_by(archives.c.stored_at).limit(1))
        if copy is not None:
            return Whereabouts(copy.store_id, copy.prefix)
    if own is None:
        raise NotDownloadableError(f"the backup is {row.status}")
    return own


async def source_of(deps: Dependencies, row: Row[Any]) -> Source:
    """An archive of a backup in the store where it stands; raises NotDownloadableError."""
    place = await whereabouts(deps, row)
    opened = await _opened_store(deps, place.store_id)
    known = await deps.read_model.one(
        select(backup_metadata.c.archive).where(backup_metadata.c.backup_id == row.id)
    )
    identity = await deps.read_model.one(select(platform))
    if known is None or identity is None:
        raise NotDownloadableError("the backup's archive is not known")
    return Source(
        store=opened,
        prefix=place.prefix,
        archive=msgspec.convert(known.archive, ArchiveFacts),
        trusted=Trust.of(row.signed_by) if row.signed_by else _own_trust(identity),
    )


def _own_trust(identity: Row[Any]) -> Trust:
    return Trust.of(*map(bytes.fromhex, platform_of(identity).audit_keys))


async def _opened_store(deps: Dependencies, store_id: str) -> Store:
    store = await deps.read_model.one(select(stores).where(stores.c.id == store_id))
    if store is None:
        raise NotDownloadableError("the store of the backup no longer exists")
    config = await open_store_config(deps.vault, store_of(store))
    opened = open_store(msgspec.json.encode(config))
    await require_permitted(opened, allow_loopback=deps.settings.allow_loopback)
    return paced(opened, store_of(store).pace)


async def parts_of(
    deps: Dependencies, source: Source, link: Link, granted: Granted
) -> list[ChainLink]:
    """The archive, and those it builds on, with their keys."""
    said, asked = granted
    key = deps.links.unwrapped(link)
    if key is None:
        raise LinkGoneError("the link was made under another SECRET_KEY")
    first = ChainLink(
        store=source.store,
        prefix=source.prefix,
        archive_key=open_archive_key(said.sealed, key, asked),
        manifest_sha256=source.archive.manifest_sha256,
    )
    others = [
        ChainLink(
            store=await _opened_store(deps, part.store_id),
            prefix=part.prefix,
            archive_key=open_archive_key(part.sealed, key, asked),
            manifest_sha256=part.manifest_sha256,
        )
        for part in said.chain
    ]
    return [first, *others]


async def granted_to(deps: Dependencies, link: Link) -> Granted | None:
    """What the scheduler sealed for this link; None until it has answered."""
    answers = [str(consequence(link.request, purpose)) for purpose in ("granted", "refused")]
    query = select(event_log.c.data).where(event_log.c.event_id.in_(answers))
    answer = await deps.read_model.one(query)
    if answer is None:
        return None
    asked = await deps.read_model.one(
        select(event_log.c.data).where(event_log.c.seq == link.request_seq)
    )
    said, request = decode(answer.data), decode(asked.data) if asked else None
    if isinstance(said, BackupDownloadRefused):
        raise DownloadRefusedError(said.problem.cause, fix=said.problem.fix)
    if not isinstance(said, BackupDownloadGranted) or not isinstance(
        request, BackupDownloadRequested
    ):
        raise LinkGoneError("the request of the link cannot be read")
    return said, request
