"""Which backups of one database are kept, in all its stores, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from uuid import UUID

import msgspec

from shared.retention.chains import Chains
from shared.retention.reasons import TIMED, Reason, reasons_in
from shared.retention.rules import Rules, Shelf

FOR_EVER = datetime.max.replace(tzinfo=UTC)
"""The end of a hold that somebody has to release."""


class Candidate(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A copy of a completed backup that stands in a store.

    `archive_id` is set where that is a further store. `rules` and `zone` are of the policy that
    applies there; without rules it is kept. `schedule_id` is the schedule that made it, if any.
    `parent_id` is the backup that it cannot be restored without. Until `held_until` and
    `legal_until` a hold lies on it. `leaving`: it was said to have expired, and all of it stands
    yet.
    """

    backup_id: UUID
    store_id: str
    taken_at: datetime
    archive_id: UUID | None = None
    rules: Rules | None = None
    zone: tzinfo = UTC
    schedule_id: str | None = None
    verified: bool = False
    corrupt: bool = False
    in_use: bool = False
    parent_id: UUID | None = None
    held_until: datetime | None = None
    legal_until: datetime | None = None
    leaving: bool = False


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What becomes of one candidate."""

    candidate: Candidate
    keep: bool
    reasons: tuple[Reason, ...]


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The verdicts, the newest backup first; without any event they hold until `holds_until`."""

    verdicts: list[Verdict]
    holds_until: datetime | None

    @property
    def expired(self) -> list[Verdict]:
        """What is kept no longer, the oldest first."""
        return [v for v in reversed(self.verdicts) if not v.keep and not v.candidate.leaving]

    @property
    def returning(self) -> list[Verdict]:
        """What was said to have expired and is kept again, the oldest first."""
        return [v for v in reversed(self.verdicts) if v.keep and v.candidate.leaving]


def judged(candidates: Iterable[Candidate], now: datetime) -> Judgement:
    """Judge everything that stands of one database, at `now`.

    In each store a policy keeps what one of its rules keeps. Whatever the policies say, what stays
    is: the last good and the last verified backup of each store; everything while nothing is
    verified, since what was never read back must not push out what may be the only copy that can
    be read; what is held, read at this moment, younger than its policy's minimum age, or needed by
    a backup that stays. What is damaged, or needs something damaged, is not good: it fills no
    place. To judge again what is left, at the same time, expires nothing more; what is leaving
    comes back when something changed: what outlived it was found damaged, say.
    """
    ordered = sorted(candidates, key=place)
    chains = Chains(ordered)
    masks = _by_policy(ordered, chains.sound, now)
    _guard(ordered, chains.sound, masks)
    for index, one in enumerate(ordered):
        if one.in_use or one.held_until is not None or one.legal_until is not None:
            masks[index] |= _held(one, now)
    chains.close(masks)
    return Judgement(
        verdicts=[_verdict(*each) for each in zip(ordered, chains.sound, masks, strict=True)],
        holds_until=_first_change(ordered, masks, now),
    )


def place(one: Candidate) -> tuple[float, int, str]:
    """Where it stands among the others: the newest first."""
    return (-one.taken_at.timestamp(), -one.backup_id.int, one.store_id)


def _by_policy(ordered: Sequence[Candidate], sound: Sequence[bool], now: datetime) -> list[int]:
    shelves: dict[tuple[str, str, tzinfo], Shelf] = {}
    masks = []
    for one, good in zip(ordered, sound, strict=True):
        if one.rules is None:
            masks.append(int(Reason.NO_POLICY))
            continue
        key = (one.store_id, one.rules.id, one.zone)
        shelf = shelves.get(key)
        if shelf is None:
            shelf = shelves[key] = Shelf(one.rules, one.zone, now)
        masks.append(shelf.reasons(one.taken_at, good=good))
    return masks


def _guard(ordered: Sequence[Candidate], sound: Sequence[bool], masks: list[int]) -> None:
    """What no policy may take: the last good and verified ones, and all before a first proof."""
    good_in: set[str] = set()
    proven_in: set[str] = set()
    for index, one in enumerate(ordered):
        if not sound[index]:
            continue
        if one.store_id not in good_in:
            good_in.add(one.store_id)
            masks[index] |= Reason.LAST_GOOD
        if one.verified and one.store_id not in proven_in:
            proven_in.add(one.store_id)
            masks[index] |= Reason.LAST_VERIFIED
    if not proven_in:
        for index in range(len(masks)):
            masks[index] |= Reason.UNPROVEN


def _held(one: Candidate, now: datetime) -> int:
    mask = Reason.IN_USE if one.in_use else 0
    if one.held_until is not None and one.held_until > now:
        mask |= Reason.HOLD
    if one.legal_until is not None and one.legal_until > now:
        mask |= Reason.LEGAL_HOLD
    return mask


def _verdict(one: Candidate, good: bool, mask: int) -> Verdict:
    if mask:
        return Verdict(one, True, reasons_in(mask))
    return Verdict(one, False, reasons_in(Reason.OUTLIVED if good else Reason.CORRUPT))


def _first_change(
    ordered: Sequence[Candidate], masks: Sequence[int], now: datetime
) -> datetime | None:
    """When the first of those that only time keeps would expire."""
    ends = [
        _end(one, mask, now)
        for one, mask in zip(ordered, masks, strict=True)
        if mask and not mask & ~TIMED
    ]
    first = min(ends, default=FOR_EVER)
    return None if first == FOR_EVER else first


def _end(one: Candidate, mask: int, now: datetime) -> datetime:
    end = now
    if mask & Reason.HOLD and one.held_until is not None:
        end = max(end, one.held_until)
    if mask & Reason.LEGAL_HOLD and one.legal_until is not None:
        end = max(end, one.legal_until)
    if mask & Reason.DAYS and one.rules is not None:
        end = max(end, one.taken_at + timedelta(days=one.rules.keep_days))
    if mask & Reason.MIN_AGE and one.rules is not None:
        end = max(end, one.taken_at + timedelta(seconds=one.rules.min_age_s))
    return end
