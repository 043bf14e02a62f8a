"""Moves what is old enough to the next tier: a copy there, proven, before anything goes here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

import structlog

from services.storage.catalogue import Catalogue, Level
from services.storage.ledger import ACTOR, Ledger, following
from services.storage.tiers import Moving, Step, Tiers, steps
from shared.bus import Bus, Draft, Expect, WrongSequenceError
from shared.messages.base import consequence, now
from shared.messages.facts import (
    ArchiveExpired,
    ArchiveReplicated,
    ArchiveRequested,
    ArchiveRewrapped,
    BackupMoved,
)
from shared.messages.facts.archives import archive_id

_log = structlog.get_logger()


class _Room:
    """What of its quota a store has left for copies that are asked for in one look."""

    def __init__(self, level: Level | None) -> None:
        self._level, self._taken = level, 0
        self.refused = 0

    def take(self, some: Sequence[Moving]) -> bool:
        """Whether they fit in beside what was taken before; if so, that room is taken."""
        wanted = sum(one.stored_bytes for one in some)
        if self._level is not None and self._level.has_room(self._taken + wanted):
            self._taken += wanted
            return True
        self.refused += len(some)
        return False


class Mover:
    """Says what is to be copied and what has moved; others copy and delete.

    Safe to repeat, and beside other replicas: what was said meanwhile of a backup or its copy makes
    it nothing.
    """

    def __init__(
        self, bus: Bus, catalogue: Catalogue, tiers: Tiers, ledger: Ledger, store_id: str
    ) -> None:
        self._bus, self._catalogue, self._tiers, self._ledger = bus, catalogue, tiers, ledger
        self._store_id = store_id

    async def move(self, seq: int) -> None:
        """Go one step further with every chain that is due by `seq`."""
        await self._catalogue.at_least(seq)
        at = now()
        chains = [steps(chain, at) for chain in await self._tiers.chains(self._store_id, at)]
        asking = [[one for step, one in taken if step is Step.ASK] for taken in chains]
        room = await self._room(one for some in asking for one in some)
        for taken, some in zip(chains, asking, strict=True):
            if some and not room.take(some):
                continue  # the chain waits
            for step, one in taken:
                await (self._ask if step is Step.ASK else self._move)(one)
        if room.refused:
            _log.warning("no_room_to_move", store_id=self._store_id, backups=room.refused)

    async def _room(self, asking: Iterable[Moving]) -> _Room:
        """The room there is in the store to which all of them go."""
        first = next(iter(asking), None)
        return _Room(await self._catalogue.level(first.to_store_id) if first else None)

    async def _ask(self, one: Moving) -> None:
        about = archive_id(one.backup_id, one.to_store_id)
        subject = f"evt.archive.*.core.{about}"
        said = await self._bus.last_of(subject)
        last_seq = max((delivery.seq for delivery in said), default=0)
        asked = ArchiveRequested(
            id=consequence(about, f"move after {last_seq}"),
            actor=ACTOR,
            archive_id=about,
            backup_id=one.backup_id,
            store_id=one.to_store_id,
        )
        with suppress(WrongSequenceError):
            appended = await self._bus.append(asked, expect=Expect(last_seq, subject))
            await self._catalogue.at_least(appended.seq)

    async def _move(self, one: Moving) -> None:
        history = await self._ledger.history(one.backup_id)
        completed, copied = history.archived, await self._copied(one)
        if completed is None or copied is None or history.unwanted or history.is_held(now()):
            return
        sealed = await self._sealed(one, copied)
        moved = following(
            BackupMoved,
            completed,
            f"moved by {copied.id}",
            from_store_id=self._store_id,
            to_store_id=one.to_store_id,
            prefix=copied.prefix,
            stored_bytes=completed.archive.stored_bytes,
            locked_until=copied.locked_until,
            left_locked_until=one.locked_until,
            envelope=sealed.envelope,
            envelope_sha256=sealed.envelope_sha256,
        )
        left = ArchiveExpired(
            id=consequence(moved.id, "left"),
            actor=ACTOR,
            caused_by=moved.id,
            archive_id=archive_id(one.backup_id, self._store_id),
            backup_id=one.backup_id,
            store_id=self._store_id,
            reason="moved",
        )
        last = max(seq for seq, _ in history.facts)
        expected = Expect(last, f"evt.backup.*.*.{one.backup_id}")
        with suppress(WrongSequenceError):  # somebody wants it deleted, or lays a hold on it
            appended = await self._bus.append_all([Draft(moved, expected), Draft(left)])
            await self._catalogue.at_least(appended.seq)

    async def _sealed(
        self, one: Moving, copied: ArchiveReplicated
    ) -> ArchiveReplicated | ArchiveRewrapped:
        """By which the copy has its newest envelope."""
        about = archive_id(one.backup_id, one.to_store_id)
        for delivery in await self._bus.last_of(f"evt.archive.rewrapped.core.{about}"):
            sealed = delivery.message
            if isinstance(sealed, ArchiveRewrapped) and sealed.envelope > copied.envelope:
                return sealed
        return copied

    async def _copied(self, one: Moving) -> ArchiveReplicated | None:
        about = archive_id(one.backup_id, one.to_store_id)
        for delivery in await self._bus.last_of(f"evt.archive.replicated.core.{about}"):
            if isinstance(delivery.message, ArchiveReplicated):
                return delivery.message
        return None
