"""From answers to a judgement: slow to get worse, quick to get better."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.health.judgement import ANSWERS, SILENCE_S, SILENT, Answer, Trail, begun, verdict
from shared.messages.values import Health, Problem

AT = datetime(2026, 1, 1, tzinfo=UTC)
OK, BAD, ILL = Health.HEALTHY, Health.UNREACHABLE, Health.DEGRADED
judged = st.sampled_from([OK, ILL, BAD])


def answer(health: Health, minute: int = 0) -> Answer:
    problem = None if health is OK else Problem(code=f"at.{minute}", cause="a cause")
    return Answer(health=health, at=AT + timedelta(minutes=minute), problem=problem)


def after(start: Health, *answers: Health) -> list[Health]:
    """What is said after each answer of one a minute."""
    trail, said = begun(start, 0.0), []
    for minute, health in enumerate(answers, 1):
        trail = trail.heard(answer(health, minute), minute * 60.0)
        said.append(verdict(trail, minute * 60.0).health)
    return said


@pytest.mark.parametrize("first", [OK, ILL, BAD])
def test_the_first_answer_of_a_new_server_counts_at_once(first: Health) -> None:
    assert after(Health.UNKNOWN, first) == [first]


def test_a_healthy_server_is_unreachable_after_three_bad_answers_in_a_row() -> None:
    assert after(OK, BAD, BAD, BAD) == [OK, OK, BAD]


def test_a_server_that_flaps_stays_what_it_is_at_its_best() -> None:
    assert set(after(OK, *(BAD, OK, BAD, BAD, OK, ILL) * 5)) == {OK}


def test_one_good_answer_brings_a_server_back() -> None:
    assert after(BAD, BAD, OK) == [BAD, OK]


def test_partly_bad_answers_make_it_degraded_only() -> None:
    assert after(OK, BAD, ILL, BAD) == [OK, OK, ILL]


def test_the_problem_is_the_latest_one_and_only_of_a_server_that_is_not_healthy() -> None:
    trail = begun(Health.UNKNOWN, 0.0)
    for minute, health in enumerate((BAD, BAD, BAD)):
        trail = trail.heard(answer(health, minute), 0.0)
    assert verdict(trail, 0.0).problem == Problem(code="at.2", cause="a cause")

    assert verdict(trail.heard(answer(OK, 3), 0.0), 0.0).problem is None


def test_the_same_answer_again_changes_nothing() -> None:
    trail = begun(OK, 0.0).heard(answer(BAD), 1.0)

    assert trail.heard(answer(BAD), 2.0) == trail


def test_a_server_that_no_probe_answered_for_is_unknown_and_then_begins_anew() -> None:
    trail = begun(OK, 0.0)
    assert verdict(trail, SILENCE_S - 1).health is OK
    assert verdict(trail, SILENCE_S).problem == SILENT

    trail = trail.heard(answer(BAD), SILENCE_S + 1)
    assert verdict(trail, SILENCE_S + 1).health is BAD


def test_nothing_is_said_of_a_server_that_was_never_judged_nor_answered_for() -> None:
    assert verdict(Trail(heard_s=0.0), 1.0).health is Health.UNKNOWN
    assert verdict(Trail(heard_s=0.0), SILENCE_S).health is Health.UNKNOWN


@given(start=judged, answers=st.lists(judged, max_size=20))
def test_a_judgement_gets_worse_only_when_all_of_the_last_answers_are(
    start: Health, answers: list[Health]
) -> None:
    rank = {OK: 0, ILL: 1, BAD: 2}
    before, seen = start, [start] * (ANSWERS - 1)
    for said, given_answer in zip(after(start, *answers), answers, strict=True):
        seen.append(given_answer)
        if rank[said] > rank[before]:
            assert all(rank[one] >= rank[said] for one in seen[-ANSWERS:])
        assert rank[said] <= rank[given_answer]
        before = said
