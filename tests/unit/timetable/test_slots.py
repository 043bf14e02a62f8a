"""Slots: each wall-clock time once, whatever the clocks of a zone do."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import given
from hypothesis import strategies as st

from shared.timetable.cron import parsed
from shared.timetable.slots import between, following, slots, starts_at, zone_of

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = (
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Africa/Casablanca",
    "Pacific/Auckland",
    "UTC",
)
minutes = st.sampled_from(["0", "30", "*", "*/15", "5,35", "10-20/5"])
hours = st.sampled_from(["2", "*", "0", "*/6", "1-3", "23"])
days = st.sampled_from(["*", "1", "13", "*/10", "28-31"])
months = st.sampled_from(["*", "3", "feb", "1,7,10"])
weekdays = st.sampled_from(["*", "0", "7", "mon-fri", "6,0", "sun"])
crons = st.tuples(minutes, hours, days, months, weekdays).map(" ".join)
moments = st.datetimes(datetime(2001, 1, 1), datetime(2090, 1, 1)).map(  # noqa: DTZ001
    lambda naive: naive.replace(microsecond=0, tzinfo=UTC)
)


@given(st.sampled_from(ZONES), st.integers(2001, 2036), st.integers(0, 23), st.integers(0, 59))
def test_a_daily_job_runs_exactly_once_on_every_day_of_every_year(
    zone_name: str, year: int, hour: int, minute: int
) -> None:
    zone = ZoneInfo(zone_name)
    begin = datetime(year, 1, 1, tzinfo=zone).astimezone(UTC) - timedelta(seconds=1)
    end = datetime(year + 1, 1, 1, tzinfo=zone).astimezone(UTC) - timedelta(seconds=1)

    found = between(parsed(f"{minute} {hour} * * *"), zone, begin, end)

    by_day = Counter(slot.astimezone(zone).date() for slot in found)
    assert len(found) == len(set(found)) == (366 if _leaps(year) else 365)
    assert max(by_day.values()) == 1
    on_time = [slot for slot in found if _time(slot, zone) == (hour, minute)]
    # Clocks go forward once a year, and twice where they went back for Ramadan between (Morocco).
    assert len(on_time) >= len(found) - 2


def _leaps(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _time(slot: datetime, zone: ZoneInfo) -> tuple[int, int]:
    local = slot.astimezone(zone)
    return local.hour, local.minute


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ((2026, 3, 29), ["2026-03-29T01:00:00+00:00"]),  # 02:30 does not exist: at 03:00 CEST
        ((2026, 10, 25), ["2026-10-25T00:30:00+00:00"]),  # 02:30 comes twice: the first one
    ],
)
def test_a_job_at_02_30_runs_once_on_both_days_on_which_berlin_changes_its_clocks(
    day: tuple[int, int, int], expected: list[str]
) -> None:
    begin = datetime(*day, tzinfo=BERLIN).astimezone(UTC) - timedelta(seconds=1)

    found = between(parsed("30 2 * * *"), BERLIN, begin, begin + timedelta(hours=23))

    assert [slot.isoformat() for slot in found] == expected


def test_croniter_alone_runs_it_twice() -> None:
    """Why `slots` exists: the day this fails, croniter may be asked directly."""
    start = datetime(2026, 10, 24, 12, tzinfo=BERLIN)
    told = croniter("30 2 * * *", start)

    days = [told.get_next(datetime).date() for _ in range(3)]

    assert len(days) > len(set(days))


def test_an_hourly_job_follows_elapsed_time_on_both_days() -> None:
    cron = parsed("30 * * * *")
    for day in ((2026, 3, 29), (2026, 10, 25)):
        begin = datetime(*day, tzinfo=BERLIN).astimezone(UTC)

        found = between(cron, BERLIN, begin, begin + timedelta(hours=10))

        gaps = {later - earlier for earlier, later in pairwise(found)}
        assert gaps == {timedelta(hours=1)}


@given(crons, moments)
def test_in_utc_the_slots_are_what_croniter_says(text: str, after: datetime) -> None:
    try:
        cron = parsed(text)
    except ValueError:
        return  # the 30th of February
    expected = croniter(text, after)

    found = list(islice(slots(cron, ZoneInfo("UTC"), after), 5))

    assert found == [expected.get_next(datetime) for _ in found]
    assert found


@given(crons, st.sampled_from(ZONES), moments, st.integers(0, 4))
def test_where_one_begins_to_look_changes_no_slot(
    text: str, zone_name: str, after: datetime, skip: int
) -> None:
    zone = ZoneInfo(zone_name)
    try:
        cron = parsed(text)
    except ValueError:
        return
    found = list(islice(slots(cron, zone, after), 8))

    assert found == sorted(set(found))
    again = list(islice(slots(cron, zone, found[skip]), 7 - skip))
    assert again == found[skip + 1 :]


@given(crons, st.sampled_from(ZONES), st.lists(moments, min_size=1, max_size=4))
def test_what_is_remembered_of_an_earlier_question_changes_no_answer(
    text: str, zone: str, asked: list[datetime]
) -> None:
    try:
        cron, where = parsed(text), zone_of(zone)
    except ValueError:
        return

    for after in [*asked, *(one + timedelta(minutes=7) for one in asked)]:
        assert following(cron, where, after) == next(slots(cron, where, after), None)


@pytest.mark.parametrize(
    "text",
    [
        *("", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *"),
        *("* * * * 8", "@daily", "a b c d e", "*/0 * * * *", "5-1 * * * x", "0 0 30 2 *"),
        *("0 0 L * *", "0 0 * * 1#2", "H * * * *", "R * * * *", "? * * * *", "1;2 * * * *"),
        "0 0 31 2,4,6,9,11 *",
    ],
)
def test_what_is_no_cron_expression_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        parsed(text)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../../etc/passwd", "Europe", "\0", "/etc"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no time zone"):
        zone_of(name)


@given(st.integers(0, 3600), moments, st.text(min_size=1, max_size=8))
def test_jitter_is_bounded_and_the_same_each_time(
    jitter_s: int, slot: datetime, schedule_id: str
) -> None:
    database_id = uuid4()

    start = starts_at(slot, jitter_s, schedule_id, database_id)

    assert slot <= start <= slot + timedelta(seconds=jitter_s)
    assert start == starts_at(slot, jitter_s, schedule_id, database_id)


def test_jitter_spreads_databases_over_the_whole_interval() -> None:
    slot = datetime(2026, 1, 1, tzinfo=UTC)

    starts = {starts_at(slot, 59, "s", uuid4()) for _ in range(2000)}

    assert len(starts) == 60
