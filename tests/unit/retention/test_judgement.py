"""What a policy keeps, for any history of backups."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from shared.retention.policy import FOR_EVER, Candidate, judged
from shared.retention.reasons import Reason
from shared.retention.rules import Rules
from tests.unit.retention.builders import (
    NOW,
    a_copy,
    candidate,
    histories,
    kept,
    laxer,
    rules,
)

BERLIN = ZoneInfo("Europe/Berlin")


def under(policy: Rules, *days: int) -> list[Candidate]:
    return [candidate(day, rules=policy) for day in days]


def daily(policy: Rules, first: datetime, days: int) -> list[Candidate]:
    """A good backup at the same local time of every day."""
    return [
        candidate(day, rules=policy, zone=first.tzinfo, taken_at=first + timedelta(days=day))
        for day in range(days)
    ]


def dates(history: list[Candidate]) -> list[str]:
    return [one.taken_at.astimezone(one.zone).strftime("%Y-%m-%d") for one in history]


def test_the_newest_backups_are_kept() -> None:
    history = under(Rules(keep_last=2), *range(5))

    assert kept(history) == history[3:]


def test_a_damaged_backup_fills_no_place_until_enough_good_ones_are_newer() -> None:
    old, damaged, new = under(Rules(keep_last=2), 0, 1, 2)
    damaged = a_copy(damaged, verified=False, corrupt=True)

    assert kept([old, damaged, new]) == [old, damaged, new]
    newer = candidate(3, rules=Rules(keep_last=2))
    assert kept([old, damaged, new, newer]) == [new, newer]


def test_the_last_verified_backup_outlives_newer_unverified_ones() -> None:
    proven, *newer = under(Rules(keep_last=1), 0, 1, 2, 3)
    newer = [a_copy(one, verified=False) for one in newer]

    assert kept([proven, *newer]) == [proven, newer[-1]]


def test_nothing_goes_before_one_backup_has_been_verified() -> None:
    history = [a_copy(one, verified=False) for one in under(Rules(keep_last=1), *range(6))]

    assert kept(history) == history


def test_a_policy_of_days_never_takes_the_last_one_of_a_store() -> None:
    policy = Rules(keep_days=3)
    here, there = candidate(0, rules=policy), candidate(1, rules=policy, store_id="s2")

    assert kept([here, there]) == [here, there]


def test_backups_of_different_policies_do_not_push_each_other_out() -> None:
    hourly = under(Rules(id="hourly", keep_last=2), 1, 3, 5)
    weekly = under(Rules(id="weekly", keep_last=1), 0, 2)

    assert kept([*hourly, *weekly]) == [weekly[1], *hourly[1:]]


def test_without_a_policy_everything_is_kept() -> None:
    (only,) = judged([candidate(0)], NOW).verdicts[:1]

    assert Reason.NO_POLICY in only.reasons
    assert kept([candidate(day) for day in range(9)]) == [candidate(day) for day in range(9)]


def test_a_hold_keeps_every_copy_until_it_ends() -> None:
    history = under(Rules(keep_last=1), 0, 1)
    history[0] = a_copy(history[0], held_until=NOW + timedelta(hours=1))
    held = judged(history, NOW)

    assert held.expired == []
    assert held.holds_until == NOW + timedelta(hours=1)
    assert kept(history, NOW + timedelta(hours=1)) == history[1:]


def test_a_hold_without_an_end_waits_for_its_release() -> None:
    history = under(Rules(keep_last=1), 0, 1)
    history[0] = a_copy(history[0], legal_until=FOR_EVER)

    assert judged(history, NOW).holds_until is None
    assert judged(history, NOW).verdicts[1].reasons == (Reason.LEGAL_HOLD,)


def test_what_a_running_restore_reads_is_kept() -> None:
    history = under(Rules(keep_last=1), 0, 1)
    history[0] = a_copy(history[0], in_use=True)

    assert kept(history) == history


def test_nothing_younger_than_the_minimum_age_goes() -> None:
    history = under(Rules(keep_last=1, min_age_s=86_400 * 3), 0, 1, 2, 3)
    at = history[-1].taken_at

    assert kept(history, at) == history[1:]
    assert judged(history, at).holds_until == history[1].taken_at + timedelta(days=3)


def test_the_reasons_tell_every_rule_that_keeps_a_backup() -> None:
    policy = Rules(keep_last=1, keep_daily=2, keep_weekly=1)
    newest, older, oldest = judged(under(policy, 2, 3, 4), NOW).verdicts

    assert set(newest.reasons) >= {Reason.LAST, Reason.DAILY, Reason.WEEKLY, Reason.LAST_GOOD}
    assert older.reasons == (Reason.DAILY,)
    assert (oldest.keep, oldest.reasons) == (False, (Reason.OUTLIVED,))


def test_a_day_of_the_schedules_time_zone_has_one_backup_on_both_days_of_the_clock() -> None:
    for month, day in ((3, 27), (10, 23)):
        first = datetime(2026, month, day, 2, 30, tzinfo=BERLIN).astimezone(UTC)
        twice_a_day = [
            candidate(
                hours,
                rules=Rules(keep_daily=4),
                zone=BERLIN,
                taken_at=first + timedelta(hours=hours),
            )
            for hours in range(0, 120, 6)
        ]
        left = dates(kept(twice_a_day, datetime(2027, 1, 1, tzinfo=UTC)))
        assert len(left) == len(set(left)) == 4


def test_a_month_and_a_year_keep_the_last_day_that_they_have_also_in_a_leap_year() -> None:
    first = datetime(2028, 1, 1, 23, 59, tzinfo=BERLIN)
    months = kept(daily(Rules(keep_monthly=3), first, 91), datetime(2029, 1, 1, tzinfo=UTC))
    years = kept(daily(Rules(keep_yearly=2), first, 400), datetime(2030, 1, 1, tzinfo=UTC))

    assert dates(months) == ["2028-01-31", "2028-02-29", "2028-03-31"]
    assert dates(years) == ["2028-12-31", "2029-02-03"]


def test_a_week_begins_on_monday() -> None:
    first = datetime(2026, 12, 28, 1, tzinfo=BERLIN)  # a Monday, in a week of two years

    left = kept(daily(Rules(keep_weekly=2), first, 10), datetime(2027, 2, 1, tzinfo=UTC))
    assert dates(left) == ["2027-01-03", "2027-01-06"]


def test_days_without_a_backup_take_no_place() -> None:
    history = under(Rules(keep_daily=3), 0, 40, 80)

    assert kept(history) == history


@given(st.data())
def test_a_laxer_policy_keeps_whatever_a_stricter_one_keeps(data: st.DataObject) -> None:
    strict, other = data.draw(rules("p")), data.draw(rules("q"))
    lax = data.draw(laxer(strict))
    history = data.draw(histories([strict, other, None], chained=True))
    relaxed = [a_copy(one, rules=lax) if one.rules == strict else one for one in history]

    stays = {(one.backup_id, one.store_id) for one in kept(history)}
    assert stays <= {(one.backup_id, one.store_id) for one in kept(relaxed)}


@given(st.data())
def test_the_last_good_and_the_last_verified_backup_of_each_store_stay(
    data: st.DataObject,
) -> None:
    history = data.draw(histories([data.draw(rules("p")), data.draw(rules("q"))]))
    stays = kept(history)

    for store in {one.store_id for one in history}:
        good = [one for one in history if one.store_id == store and not one.corrupt]
        verified = [one for one in good if one.verified]
        for group in (good, verified):
            assert not group or max(group, key=lambda one: one.taken_at) in stays


@given(st.data())
def test_to_judge_again_what_is_left_expires_nothing_more(data: st.DataObject) -> None:
    policies = [data.draw(rules("p")), data.draw(rules("q")), None]
    history = data.draw(histories(policies, chained=True))

    assert judged(kept(history), NOW).expired == []


@given(st.data())
def test_the_order_of_the_history_does_not_matter(data: st.DataObject) -> None:
    history = data.draw(histories([data.draw(rules()), data.draw(rules("q"))], chained=True))
    again = data.draw(st.permutations(history))

    assert judged(history, NOW) == judged(again, NOW)


@given(st.data())
def test_between_now_and_the_announced_time_nothing_changes_and_then_something_does(
    data: st.DataObject,
) -> None:
    policies = [data.draw(rules("p")), data.draw(rules("q"))]
    history = kept(data.draw(histories(policies, chained=True)))
    until = judged(history, NOW).holds_until

    last = (until or FOR_EVER - timedelta(days=1)) - timedelta(microseconds=1)
    assert kept(history, max(last, NOW)) == history
    if until is not None:
        assert until > NOW
        assert kept(history, until) != history


@given(st.data())
def test_whoever_judges_after_each_backup_keeps_what_one_judgement_at_the_end_keeps(
    data: st.DataObject,
) -> None:
    policy = data.draw(rules())
    history = [
        a_copy(one, verified=True, corrupt=False, in_use=False, held_until=None)
        for one in sorted(data.draw(histories([policy])), key=lambda one: one.taken_at)
    ]
    standing: list[Candidate] = []
    for one in history:
        standing = kept([*standing, one], one.taken_at)

    assert kept(standing) == kept(history)


@given(st.data())
def test_an_expired_backup_was_kept_by_nothing(data: st.DataObject) -> None:
    history = data.draw(histories([data.draw(rules())], chained=True))
    needed: set[UUID | None] = {one.parent_id for one in kept(history)}

    for verdict in judged(history, NOW).expired:
        one, policy = verdict.candidate, verdict.candidate.rules
        assert policy is not None
        assert not one.in_use
        assert one.held_until is None or one.held_until <= NOW
        assert one.taken_at <= NOW - timedelta(days=policy.keep_days)
        if one.backup_id in needed:  # then by another copy of it
            assert any(other.backup_id == one.backup_id for other in kept(history))
