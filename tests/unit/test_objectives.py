"""How databases stand to their objectives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from shared.objectives import AT_RISK, Objective, Protected, Standing, judged

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR_S = 3600


def objective(name: str = "hourly", rpo_s: int = HOUR_S, **more: object) -> Objective:
    given = {name: frozenset(value) for name, value in more.items()}  # type: ignore[call-overload]
    return Objective(id=name, name=name, rpo_s=rpo_s, since=NOW - timedelta(days=9), **given)


def database(age_s: float | None, **more: object) -> Protected:
    good_at = None if age_s is None else NOW - timedelta(seconds=age_s)
    return Protected(id=uuid4(), server_id=uuid4(), name="shop", good_at=good_at, **more)  # type: ignore[arg-type]


def standing(one: Protected, *wanted: Objective) -> Standing:
    return judged([one], wanted, NOW)[0].standing


def test_an_objective_is_met_then_at_risk_then_missed() -> None:
    assert standing(database(0.5 * HOUR_S), objective()) is Standing.MET
    assert standing(database(AT_RISK * HOUR_S), objective()) is Standing.AT_RISK
    assert standing(database(HOUR_S), objective()) is Standing.AT_RISK
    assert standing(database(HOUR_S + 1), objective()) is Standing.MISSED


def test_a_new_database_gets_the_whole_time_for_its_first_backup() -> None:
    assert standing(database(None), objective()) is Standing.MISSED
    assert standing(database(None, seen_at=NOW), objective()) is Standing.MET


def test_an_objective_covers_what_it_names_and_everything_when_it_names_nothing() -> None:
    one = database(0, group_ids=frozenset({"g"}), tags=frozenset({"gold"}))

    assert judged([one], [objective()], NOW)
    assert judged([one], [objective(database_ids=[str(one.id)])], NOW)
    assert judged([one], [objective(group_ids=["g"])], NOW)
    assert judged([one], [objective(tags=["gold"])], NOW)
    assert not judged([one], [objective(tags=["silver"], group_ids=["h"])], NOW)


ages = st.one_of(st.none(), st.floats(0, 1e6))


@given(st.lists(ages), st.lists(st.integers(60, 100_000), min_size=1))
def test_the_strictest_objective_counts_and_the_worst_comes_first(
    found: list[float | None], allowed: list[int]
) -> None:
    wanted = [objective(str(place), rpo_s) for place, rpo_s in enumerate(allowed)]
    seen = judged([database(age) for age in found], wanted, NOW)

    assert len(seen) == len(found)
    assert all(one.objective.rpo_s == min(allowed) for one in seen)
    assert [one.burn for one in seen] == sorted((one.burn for one in seen), reverse=True)
    assert all((one.standing is Standing.MISSED) == (one.burn > 1) for one in seen)


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_an_older_backup_never_stands_better(younger: float, more: float) -> None:
    order = list(Standing)

    assert order.index(standing(database(younger), objective())) <= order.index(
        standing(database(younger + more), objective())
    )


def test_a_database_in_no_objective_is_not_judged() -> None:
    assert judged([database(1e9)], [], NOW) == []
