"""What an increment is built on, and what a restore of it needs, decided from what stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias
from uuid import UUID

import msgspec

from services.scheduler.errors import NotRestorableError
from shared.messages.values import ArchiveFacts, BackupType

Place: TypeAlias = tuple[str, str]
"""A store, and the archive's folder in it."""

NO_FULL = "there is no backup of this database in the store to build on"
AT_LIMIT = "the chain has as many backups as it may have"
BROKEN = "the chain is broken: a backup of it is corrupt or gone"
OTHER_METHOD = "the last backup was made in another way"


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """A backup, as a restore needs it; `archive` is None until it was completed.

    `copies`: store and prefix of each good copy in a further store. `signed_by`: the fingerprint
    of the platform that signed it, where that is not this one.
    """

    id: UUID
    status: str
    proof: str
    store_id: str
    prefix: str | None
    endpoint: str
    server_id: UUID
    archive: ArchiveFacts | None
    parent_id: UUID | None = None
    chain_id: UUID | None = None
    method: str = "logical"
    deletion_wanted: bool = False
    copies: list[Place] = []
    signed_by: str | None = None

    def places(self) -> list[Place]:
        """Where a good archive of it stands, its own store first."""
        found = [] if self.deletion_wanted else [*self.copies]
        if self.status == "completed" and self.prefix and self.proof != "corrupt":
            found.insert(0, (self.store_id, self.prefix))
        return found


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One archive that is read: of which backup, where, and signed by which other platform."""

    backup_id: UUID
    store_id: str
    prefix: str
    archive: ArchiveFacts
    signed_by: str | None = None
    copied: bool = False
    """It stands in a further store."""

    @property
    def copy_in(self) -> str | None:
        """The further store in which it is a copy."""
        return self.store_id if self.copied else None


def restorable(
    backup: Archived | None, others: Mapping[UUID, Archived], wanted_store: str | None = None
) -> list[Part]:
    """The archives that a restore reads, the backup's own first; raises NotRestorableError.

    Its own store comes first; where it is gone or corrupt there, a good copy takes its place.
    `others` are the backups of its chain; of those a copy beside the backup's archive is preferred.
    """
    if backup is None:
        raise NotRestorableError("there is no such backup")
    first = _part(backup, wanted_store)
    parts = [first]
    at = backup
    while at.parent_id is not None:
        parent = others.get(at.parent_id)
        if parent is None or len(parts) > len(others):
            raise NotRestorableError("a backup that it builds on is gone")
        parts.append(_parent(parent, first.store_id))
        at = parent
    return parts


def parent_of(
    standing: Sequence[Archived], *, store_id: str, wanted: BackupType, method: str, limit: int
) -> list[Part] | str:
    """What the next backup builds on, its parent first, or why that has to be a full.

    `standing` are the completed backups of the newest chain that was begun in the store, the
    newest first.
    """
    here = {one.id: one for one in standing if one.store_id == store_id}
    newest = next((one for one in standing if one.store_id == store_id), None)
    if newest is None or newest.archive is None:
        return NO_FULL
    if newest.method != method:
        return OTHER_METHOD
    if len(standing) >= limit:
        return AT_LIMIT
    start = here.get(newest.chain_id or newest.id) if wanted is BackupType.DIFFERENTIAL else newest
    return _line(start, here)


def _line(start: Archived | None, here: Mapping[UUID, Archived]) -> list[Part] | str:
    """From a backup down to its full, all of it good and in the same store."""
    parts: list[Part] = []
    while start is not None:
        good = start.status == "completed" and start.proof != "corrupt" and start.prefix
        if not good or start.archive is None or start.deletion_wanted or len(parts) > len(here):
            return BROKEN
        parts.append(_of(start, (start.store_id, start.prefix or "")))
        if start.parent_id is None:
            return parts
        start = here.get(start.parent_id)
    return BROKEN


def _part(backup: Archived, wanted_store: str | None) -> Part:
    if backup.archive is None:
        raise NotRestorableError(f"the backup is {backup.status}")
    for place in backup.places():
        if wanted_store in {None, place[0]}:
            return _of(backup, place)
    if backup.status == "completed" and wanted_store in {None, backup.store_id}:
        raise NotRestorableError("the backup was found corrupt in its store")
    if wanted_store is not None:
        raise NotRestorableError("the backup does not stand whole in this store")
    raise NotRestorableError(f"the backup is {backup.status}")


def _parent(backup: Archived, beside: str) -> Part:
    places = sorted(backup.places(), key=lambda place: place[0] != beside)
    if not places or backup.archive is None:
        state = "corrupt" if backup.proof == "corrupt" else backup.status
        raise NotRestorableError(f"a backup that it builds on is {state}: {backup.id}")
    return _of(backup, places[0])


def _of(backup: Archived, place: Place) -> Part:
    assert backup.archive is not None
    return Part(
        backup_id=backup.id,
        store_id=place[0],
        prefix=place[1],
        archive=backup.archive,
        signed_by=backup.signed_by,
        copied=place[0] != backup.store_id,
    )
