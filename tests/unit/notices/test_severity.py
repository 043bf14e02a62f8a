"""Each fact has a severity; those of tomorrow, too."""

from __future__ import annotations

from typing import get_args
from uuid import uuid4

import pytest

from shared.messages.base import Fact, now
from shared.messages.facts import (
    AnyFact,
    ObjectiveEndangered,
    ObjectiveMet,
    ObjectiveMissed,
    ScheduleWarned,
    ServerHealthChanged,
    ServerTested,
)
from shared.messages.values import Health, Problem, Severity
from shared.messages.wire import decode
from shared.notices.severity import at_least, severity_of
from tests.contract.test_wire import GOLDEN, golden

FAILING = ("failed", "corrupted", "went_down", "disabled")


@pytest.mark.parametrize("kind", get_args(AnyFact), ids=lambda kind: kind.__name__)
def test_what_fails_is_an_error_or_worse(kind: type[Fact]) -> None:
    fact = decode(bytes(golden(GOLDEN / f"{kind.__name__}.json").message))
    assert isinstance(fact, Fact)

    if fact.type.endswith(FAILING):
        assert at_least(severity_of(fact), Severity.ERROR)
    else:
        assert severity_of(fact) in Severity


def test_health_and_tests_are_as_severe_as_their_result() -> None:
    said = [
        ServerHealthChanged(server_id=uuid4(), health=health, was=Health.UNKNOWN)
        for health in (Health.HEALTHY, Health.DEGRADED, Health.UNREACHABLE)
    ]
    problem = Problem(code="c", cause="d")
    tests = [
        ServerTested(server_id=uuid4(), run_id=uuid4(), problem=one) for one in (None, problem)
    ]

    assert [severity_of(one) for one in said] == [
        Severity.INFO,
        Severity.WARNING,
        Severity.ERROR,
    ]
    assert [severity_of(one) for one in tests] == [Severity.INFO, Severity.WARNING]


def test_what_a_schedule_or_an_objective_says_is_as_severe_as_it_is() -> None:
    about = {"database_id": uuid4(), "server_id": uuid4(), "objective_id": "o", "rpo_s": 60}
    problem = Problem(code="c", cause="d")
    warned, fine = (
        ScheduleWarned(schedule_id="s", slot=now(), problem=one) for one in (problem, None)
    )
    said = [ObjectiveMet(**about), ObjectiveEndangered(**about), ObjectiveMissed(**about)]

    assert [severity_of(one) for one in (*said, fine, warned)] == [
        Severity.INFO,
        Severity.WARNING,
        Severity.ERROR,
        Severity.INFO,
        Severity.WARNING,
    ]
