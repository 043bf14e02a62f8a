"""Quiet hours and digests: when what waited goes out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.holding import due, next_digest, quiet_until
from shared.messages.values import Digest, QuietHours, Severity

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]
NIGHT = QuietHours(begins="22:00", ends="07:00", time_zone="Europe/Berlin")

times = st.integers(1_704_067_200, 1_893_456_000).map(lambda one: datetime.fromtimestamp(one, UTC))
clocks = st.times().map(lambda one: f"{one.hour:02}:{one.minute:02}")
zones = st.sampled_from(ZONES)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("2026-01-10T20:59:59+00:00", None),
        ("2026-01-10T21:00:00+00:00", "2026-01-11T06:00:00+00:00"),
        ("2026-01-11T02:00:00+00:00", "2026-01-11T06:00:00+00:00"),
        ("2026-01-11T06:00:00+00:00", None),
        ("2026-07-10T20:30:00+00:00", "2026-07-11T05:00:00+00:00"),
        ("2026-03-28T23:00:00+00:00", "2026-03-29T05:00:00+00:00"),  # the night is an hour shorter
        ("2026-10-24T23:00:00+00:00", "2026-10-25T06:00:00+00:00"),  # and here longer
    ],
)
def test_quiet_hours_end_at_the_local_time(said: str, told: str | None) -> None:
    assert quiet_until(at(said), NIGHT) == (at(told) if told else None)


def test_critical_passes_quiet_hours_but_a_digest_holds_everything() -> None:
    night = at("2026-01-10T23:00:00+00:00")
    digest = Digest(every="day", at="08:00", time_zone="Europe/Berlin")

    assert due(night, Severity.CRITICAL, NIGHT, None) is None
    assert due(night, Severity.ERROR, NIGHT, None) == at("2026-01-11T06:00:00+00:00")
    assert due(night, Severity.CRITICAL, NIGHT, digest) == at("2026-01-11T07:00:00+00:00")
    assert due(night, Severity.ERROR, None, None) is None


@given(times, clocks, clocks, zones)
def test_what_waits_is_told_within_a_day_and_not_in_quiet_hours(
    said: datetime, begins: str, ends: str, zone: str
) -> None:
    quiet = QuietHours(begins=begins, ends=ends, time_zone=zone)

    told = quiet_until(said, quiet)

    if told is not None:
        assert said < told + timedelta(hours=2)  # clocks that are set back may repeat the end
        assert told - said <= timedelta(hours=26)
        assert told.astimezone(ZoneInfo(zone)).strftime("%H:%M") == ends or _skipped(told, zone)


@given(times, clocks, st.sampled_from(["day", "week"]), st.integers(0, 6), zones)
def test_a_digest_comes_after_and_within_its_period(
    said: datetime, hour: str, every: str, weekday: int, zone: str
) -> None:
    digest = Digest(every=every, at=hour, weekday=weekday, time_zone=zone)  # type: ignore[arg-type]  # one of them

    told = next_digest(said, digest)

    longest = timedelta(days=1 if every == "day" else 7, hours=2)
    assert said < told <= said + longest
    assert next_digest(told, digest) > told
    if every == "week":
        assert told.astimezone(ZoneInfo(zone)).weekday() in {weekday, (weekday + 1) % 7}


def _skipped(told: datetime, zone: str) -> bool:
    """Whether clocks were set on just before."""
    return told.astimezone(ZoneInfo(zone)).utcoffset() != (
        (told - timedelta(hours=3)).astimezone(ZoneInfo(zone)).utcoffset()
    )
