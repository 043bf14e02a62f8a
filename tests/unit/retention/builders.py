"""Histories of backups to judge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import strategies as st

from shared.retention.policy import Candidate, judged
from shared.retention.rules import Rules

NOW = datetime(2026, 6, 15, 12, tzinfo=UTC)
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "America/Havana", "Pacific/Apia")
"""With clocks that go back at 03:00, one minute past midnight, at 01:00; and a skipped day."""

COUNTED = ("keep_last", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly")


def candidate(number: int, **changes: Any) -> Candidate:
    """The backup of day `number` of 2026, verified, in the store s1; without a policy."""
    taken_at = datetime(2026, 1, 1, 3, tzinfo=UTC) + timedelta(days=number)
    made = Candidate(
        backup_id=UUID(int=number + 1), store_id="s1", taken_at=taken_at, verified=True
    )
    return msgspec.structs.replace(made, **changes)


def kept(history: list[Candidate], now: datetime = NOW) -> list[Candidate]:
    """What stays of it, the oldest first."""
    return [one.candidate for one in reversed(judged(history, now).verdicts) if one.keep]


def a_copy(of: Candidate, **changes: Any) -> Candidate:
    return msgspec.structs.replace(of, **changes)


@st.composite
def rules(draw: st.DrawFn, name: str = "p") -> Rules:
    counts = {rule: draw(st.integers(0, 4)) for rule in COUNTED}
    return Rules(
        id=name,
        name=name,
        keep_days=draw(st.sampled_from([0, 0, 1, 30, 400])),
        min_age_s=draw(st.sampled_from([0, 0, 3600, 10**7])),
        **counts,
    )


@st.composite
def laxer(draw: st.DrawFn, than: Rules) -> Rules:
    """Rules of which none keeps less."""
    more = st.integers(0, 3)
    changes = {rule: getattr(than, rule) + draw(more) for rule in (*COUNTED, "keep_days")}
    return msgspec.structs.replace(than, **changes, min_age_s=than.min_age_s + draw(more) * 1000)


@st.composite
def histories(
    draw: st.DrawFn, policies: list[Rules | None], *, chained: bool = False
) -> list[Candidate]:
    """Backups of four years with copies in up to three stores, in any order."""
    minutes = draw(st.lists(st.integers(0, 4 * 366 * 24 * 60), max_size=14, unique=True))
    zone, made = ZoneInfo(draw(st.sampled_from(ZONES))), []
    flags, holds = st.integers(0, 5), st.sampled_from([None] * 6 + [-1, 1])
    for number, minute in enumerate(sorted(minutes, reverse=True)):
        taken_at = NOW - timedelta(minutes=minute)
        older = st.integers(0, number - 1) if number and chained else st.none()
        parent = draw(st.one_of(st.none(), older))
        hold = draw(holds)
        for store in draw(st.sets(st.sampled_from(["s1", "s2", "s3"]), min_size=1)):
            proof = draw(flags)
            made.append(
                Candidate(
                    backup_id=UUID(int=number + 1),
                    store_id=store,
                    taken_at=taken_at,
                    rules=draw(st.sampled_from(policies)),
                    zone=zone,
                    verified=proof in {0, 1, 2},
                    corrupt=proof == 3,
                    in_use=draw(flags) == 0,
                    parent_id=None if parent is None else UUID(int=parent + 1),
                    held_until=None if hold is None else NOW + timedelta(days=hold),
                )
            )
    return draw(st.permutations(made))
