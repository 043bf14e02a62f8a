"""Warns of a store that fills up its quota: once at each threshold, and when it is over."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from services.storage.catalogue import Catalogue, Level
from services.storage.ledger import ACTOR
from shared.bus import Bus, Delivery, Expect, WrongSequenceError
from shared.messages.facts import StoreFilling, StoreRelieved
from shared.messages.values import Problem

THRESHOLDS = (80, 95, 100)
"""Percent of the quota."""
OVER_BELOW = 75
"""Percent below which it is over: a store that stays at a threshold is told of once."""


def reached(level: Level, told: int) -> int | None:
    """The threshold to tell of now, where `told` was last: 0 when it is over, None for nothing."""
    threshold = max((one for one in THRESHOLDS if level.percent >= one), default=0)
    if threshold > told:
        return threshold
    return 0 if told and level.percent < OVER_BELOW else None


class Gauge:
    """Looks at one store; what was told last is in the log, and asked there when it matters."""

    def __init__(self, bus: Bus, catalogue: Catalogue, store_id: str) -> None:
        self._bus, self._catalogue, self._store_id = bus, catalogue, store_id
        self._told: int | None = None

    async def look(self, seq: int) -> None:
        """Say what changed by `seq`."""
        await self._catalogue.at_least(seq)
        level = await self._catalogue.level(self._store_id)
        if self._told is None or reached(level, self._told) is not None:
            await self._tell(level)

    async def _tell(self, level: Level) -> None:
        subject = f"evt.store.*.core.{self._store_id}"
        last = await self._bus.last_of(subject)
        self._told = _told(last)
        threshold = reached(level, self._told)
        if threshold is None:
            return
        expect = Expect(max((one.seq for one in last), default=0), subject)
        with suppress(WrongSequenceError):  # something else was said of it: the next look sees
            await self._bus.append(self._fact(level, threshold), expect=expect)
            self._told = threshold

    def _fact(self, level: Level, threshold: int) -> StoreFilling | StoreRelieved:
        if not threshold:
            return StoreRelieved(actor=ACTOR, store_id=self._store_id)
        return StoreFilling(
            actor=ACTOR,
            store_id=self._store_id,
            percent=threshold,
            stored_bytes=level.stored_bytes,
            quota_bytes=level.quota_bytes or 0,
            problem=Problem(
                code=f"store.filled_to_{threshold}",
                cause=f"the store has used {threshold} % of its quota",
                fix="raise the quota, delete backups, or keep fewer of them",
            ),
        )


def _told(last: Sequence[Delivery]) -> int:
    """The threshold that was told last; 0 when it is over, or none ever was."""
    kinds = (StoreFilling, StoreRelieved)
    said = [(one.seq, one.message) for one in last if isinstance(one.message, kinds)]
    newest = max(said, key=lambda each: each[0])[1] if said else None
    return newest.percent if isinstance(newest, StoreFilling) else 0
