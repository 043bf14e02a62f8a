"""Repeats are counted, the end of a trouble is told once, whatever is delivered again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from services.notifier.troubles import Answer, Topic, Trouble, answer, topic_of
from shared.messages.facts import (
    BackupCompleted,
    BackupFailed,
    ObjectiveMet,
    ObjectiveMissed,
    RestoreCompleted,
    RestoreFailed,
    ScheduleWarned,
    ServerHealthChanged,
    ServiceCameBack,
    ServiceWentDown,
)
from shared.messages.values import Health, Problem
from shared.notices.about import NOTHING, About
from tests.unit.auditor.events import backup_requested, completed

START = datetime(2026, 1, 1, tzinfo=UTC)
DOWN, OTHER = Topic(name="t", failed=True, code="a"), Topic(name="t", failed=True, code="b")
UP = Topic(name="t", failed=False)


def told(*steps: tuple[Topic, int], repeat_after_s: int = 3600) -> list[Answer]:
    """The answers to facts (topic, minute), each with a sequence of its own."""
    known: Trouble | None = None
    answers = []
    for seq, (topic, minute) in enumerate(steps, 1):
        made = answer(START + timedelta(minutes=minute), seq, topic, known, repeat_after_s)
        known = made.trouble
        answers.append(made)
    return answers


def test_the_same_problem_is_told_once_in_its_window_and_counted() -> None:
    answers = told((DOWN, 0), (DOWN, 10), (DOWN, 20), (DOWN, 61))

    assert [one.tell for one in answers] == [True, False, False, True]
    assert answers[-1].count == 4


def test_another_problem_of_the_same_object_is_told_at_once() -> None:
    assert [one.tell for one in told((DOWN, 0), (OTHER, 1), (DOWN, 2))] == [True, True, True]


def test_without_a_window_each_one_is_told() -> None:
    answers = told((DOWN, 0), (DOWN, 0), (DOWN, 0), repeat_after_s=0)

    assert all(one.tell for one in answers)


def test_the_end_is_told_once_with_the_number_of_failures() -> None:
    answers = told((UP, 0), (DOWN, 1), (DOWN, 2), (UP, 3), (UP, 4), (DOWN, 5))

    assert [one.recovered for one in answers] == [False, False, False, True, False, False]
    assert [one.tell for one in answers] == [False, True, False, True, False, True]
    assert answers[3].count == 2


@given(st.lists(st.tuples(st.sampled_from([DOWN, OTHER, UP]), st.integers(0, 90)), max_size=12))
def test_what_is_delivered_again_at_once_is_answered_the_same(
    steps: list[tuple[Topic, int]],
) -> None:
    known: Trouble | None = None
    at = START
    for seq, (topic, minutes) in enumerate(steps, 1):
        at += timedelta(minutes=minutes)
        first = answer(at, seq, topic, known, 3600)
        again = answer(at, seq, topic, first.trouble, 3600)
        assert (again.tell, again.recovered, again.trouble) == (
            first.tell,
            first.recovered,
            first.trouble,
        )
        known = first.trouble


@given(st.lists(st.sampled_from([DOWN, UP]), max_size=20))
def test_an_end_is_told_exactly_once_after_each_row_of_failures(steps: list[Topic]) -> None:
    answers = told(*((topic, 1) for topic in steps))

    ends = sum(before.failed and not after.failed for before, after in pairwise(steps))
    assert sum(one.recovered for one in answers) == ends


def test_backups_of_one_database_share_a_topic_and_its_end() -> None:
    about = About(database_id=str(UUID(int=9)))
    problem = Problem(code="x", cause="y")
    one, two = (
        BackupFailed(backup_id=uuid4(), run_id=uuid4(), attempt=1, problem=problem)
        for _ in range(2)
    )
    good: BackupCompleted = completed(backup_requested())

    topics = [topic_of(fact, about) for fact in (one, two, good)]

    assert {topic.name for topic in topics if topic} == {f"backup:{UUID(int=9)}"}
    assert [topic.failed for topic in topics if topic] == [True, True, False]
    assert topic_of(one, NOTHING) != topic_of(two, NOTHING)


def test_servers_and_services_recover_too() -> None:
    server_id = uuid4()
    worse = ServerHealthChanged(server_id=server_id, health=Health.UNREACHABLE, was=Health.HEALTHY)
    better = ServerHealthChanged(server_id=server_id, health=Health.HEALTHY, was=Health.UNREACHABLE)
    down, up = ServiceWentDown(service="storage"), ServiceCameBack(service="storage")

    about = {"database_id": uuid4(), "server_id": server_id, "objective_id": "o", "rpo_s": 60}
    late, met = ObjectiveMissed(**about), ObjectiveMet(**about)
    slot = {"schedule_id": "s", "slot": START}
    warned = ScheduleWarned(**slot, problem=Problem(code="c", cause="d"))

    for bad, good in ((worse, better), (down, up), (late, met), (warned, ScheduleWarned(**slot))):
        one, two = topic_of(bad, NOTHING), topic_of(good, NOTHING)
        assert one is not None
        assert two is not None
        assert (one.key, one.failed, two.failed) == (two.key, True, False)


def test_a_test_or_a_reading_that_went_well_ends_no_trouble_with_a_restore() -> None:
    about = {"restore_id": uuid4(), "run_id": uuid4(), "attempt": 1}
    database = About(database_id=str(uuid4()))
    problem = Problem(code="x", cause="x")
    wanted = topic_of(RestoreFailed(**about, problem=problem), database)
    assert wanted is not None
    whole = {"seconds": 1.0, "raw_bytes": 1, "tables": []}
    names = set()
    for mark in ("tested_backup_id", "verified_backup_id"):
        of = {mark: uuid4()}
        well = topic_of(RestoreCompleted(**about, **whole, **of), database)
        ill = topic_of(RestoreFailed(**about, problem=problem, **of), database)
        assert well is not None
        assert ill is not None
        assert (well.name, well.failed, ill.failed) == (ill.name, False, True)
        names.add(well.name)
    assert len({*names, wanted.name}) == 3
    restored = topic_of(RestoreCompleted(**about, **whole), database)
    assert restored is not None
    assert restored.name == wanted.name
