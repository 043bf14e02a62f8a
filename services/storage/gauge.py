"""Warns of a store or a group that fills up its quota: once at each threshold, and when it is
over."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from services.storage.catalogue import Catalogue, Level
from services.storage.ledger import ACTOR
from shared.bus import Bus, Delivery, Expect, WrongSequenceError
from shared.messages.base import Fact
from shared.messages.facts import GroupFilling, GroupRelieved, StoreFilling, StoreRelieved
from shared.messages.facts.groups import GroupFact
from shared.messages.values import Problem

THRESHOLDS = (80, 95, 100)
"""Percent of the quota."""
OVER_BELOW = 75
"""Percent below which it is over: a store that stays at a threshold is told of once."""
_FIX = "raise the quota, delete backups, or keep fewer of them"
_FULL, _OVER = StoreFilling | GroupFilling, StoreRelieved | GroupRelieved


def reached(level: Level, told: int) -> int | None:
    """The threshold to tell of now, where `told` was last: 0 when it is over, None for nothing."""
    threshold = max((one for one in THRESHOLDS if level.percent >= one), default=0)
    if threshold > told:
        return threshold
    return 0 if told and level.percent < OVER_BELOW else None


class _Needle:
    """What was told last of one thing; it is in the log, and asked there when it matters."""

    def __init__(self, bus: Bus, subject: str) -> None:
        self._bus, self._subject = bus, subject
        self._told: int | None = None

    async def look(self, level: Level, key: str) -> None:
        if self._told is not None and reached(level, self._told) is None:
            return
        last = await self._bus.last_of(self._subject)
        self._told = _told(last)
        threshold = reached(level, self._told)
        if threshold is None:
            return
        expect = Expect(max((one.seq for one in last), default=0), self._subject)
        about = _of_store if self._subject.startswith("evt.store.") else _of_group
        with suppress(WrongSequenceError):  # something else was said of it: the next look sees
            await self._bus.append(about(key, level, threshold), expect=expect)
            self._told = threshold


class Gauge:
    """Looks at one store."""

    def __init__(self, bus: Bus, catalogue: Catalogue, store_id: str) -> None:
        self._catalogue, self._store_id = catalogue, store_id
        self._needle = _Needle(bus, f"evt.store.*.core.{store_id}")

    async def look(self, seq: int) -> None:
        """Say what changed by `seq`."""
        await self._catalogue.at_least(seq)
        await self._needle.look(await self._catalogue.level(self._store_id), self._store_id)


class GroupGauge:
    """Looks at all groups with a quota, and at those that had one."""

    def __init__(self, bus: Bus, catalogue: Catalogue) -> None:
        self._bus, self._catalogue = bus, catalogue
        self._needles: dict[str, _Needle] = {}

    async def look(self, seq: int) -> None:
        """Say what changed by `seq`."""
        await self._catalogue.at_least(seq)
        levels = await self._catalogue.group_levels()
        told = [] if self._needles else await self._bus.last_of("evt.group.*.core.*")
        facts = [one.message for one in told if isinstance(one.message, GroupFact)]
        for group_id in {*levels, *(one.group_id for one in facts)} - {*self._needles}:
            self._needles[group_id] = _Needle(self._bus, f"evt.group.*.core.{group_id}")
        for group_id, needle in self._needles.items():
            await needle.look(levels.get(group_id, Level(stored_bytes=0)), group_id)


def _of_store(key: str, level: Level, threshold: int) -> Fact:
    if not threshold:
        return StoreRelieved(actor=ACTOR, store_id=key)
    return StoreFilling(
        actor=ACTOR,
        store_id=key,
        percent=threshold,
        stored_bytes=level.stored_bytes,
        quota_bytes=level.quota_bytes or 0,
        problem=_problem("store", threshold),
    )


def _of_group(key: str, level: Level, threshold: int) -> Fact:
    if not threshold:
        return GroupRelieved(actor=ACTOR, group_id=key)
    return GroupFilling(
        actor=ACTOR,
        group_id=key,
        percent=threshold,
        stored_bytes=level.stored_bytes,
        quota_bytes=level.quota_bytes or 0,
        problem=_problem("group", threshold),
    )


def _problem(what: str, threshold: int) -> Problem:
    cause = f"the {what} has used {threshold} % of its quota"
    return Problem(code=f"{what}.filled_to_{threshold}", cause=cause, fix=_FIX)


def _told(last: Sequence[Delivery]) -> int:
    """The threshold that was told last; 0 when it is over, or none ever was."""
    said = [(one.seq, one.message) for one in last if isinstance(one.message, _FULL | _OVER)]
    newest = max(said, key=lambda each: each[0])[1] if said else None
    return newest.percent if isinstance(newest, _FULL) else 0
