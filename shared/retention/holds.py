"""The holds on a backup, as its facts tell them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from shared.messages.base import Message
from shared.messages.facts import BackupHeld, BackupReleased
from shared.messages.values import Hold, HoldKind


def holds_in(facts: Iterable[tuple[int, Message]]) -> list[Hold]:
    """What the last of the facts, by sequence, left on the backup; also what is over by now."""
    told = [(seq, one.holds) for seq, one in facts if isinstance(one, BackupHeld | BackupReleased)]
    return max(told, key=lambda each: each[0])[1] if told else []


def holding(holds: Iterable[Hold], at: datetime) -> list[Hold]:
    """Those of the holds that are not over at `at`."""
    return [one for one in holds if one.until is None or one.until > at]


def held_until(holds: Iterable[Hold], kind: HoldKind, for_ever: datetime) -> datetime | None:
    """When the hold of the kind ends by itself: `for_ever` without an end, None without a hold."""
    return next((one.until or for_ever for one in holds if one.kind is kind), None)


def with_hold(holds: Iterable[Hold], hold: Hold) -> list[Hold]:
    """The holds once this one replaced the one of its kind."""
    return [*without_hold(holds, hold.kind), hold]


def without_hold(holds: Iterable[Hold], kind: HoldKind) -> list[Hold]:
    """The holds once the one of this kind is lifted."""
    return [one for one in holds if one.kind is not kind]
