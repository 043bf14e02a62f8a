"""How safe a database is, from what is known of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from services.gateway.protection import LastTry, Safety, counted, stand
from shared.objectives import Objective, Protected, judged

NOW = datetime(2026, 3, 29, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAILY = Objective(id="o", name="daily", rpo_s=86_400, since=NOW - timedelta(days=90))


def make_database(age: timedelta | None, name: str = "orders") -> Protected:
    good_at = None if age is None else NOW - age
    seen_at = NOW - timedelta(days=90)
    return Protected(id=uuid4(), server_id=uuid4(), name=name, good_at=good_at, seen_at=seen_at)


def make_try(*, failed: bool) -> LastTry:
    return LastTry(backup_id=uuid4(), run_id=uuid4(), failed=failed, at=NOW)


@pytest.mark.parametrize(
    ("age", "objectives", "failed", "safety"),
    [
        (None, [], False, Safety.UNPROTECTED),
        (1 * HOUR, [], False, Safety.PROTECTED),
        (1 * HOUR, [DAILY], False, Safety.PROTECTED),
        (1 * HOUR, [DAILY], True, Safety.ENDANGERED),
        (20 * HOUR, [DAILY], False, Safety.ENDANGERED),
        (25 * HOUR, [DAILY], False, Safety.UNPROTECTED),
        (2000 * HOUR, [], False, Safety.PROTECTED),
    ],
)
def test_a_database_is_as_safe_as_its_last_good_backup(
    age: timedelta | None, objectives: list[Objective], failed: bool, safety: Safety
) -> None:
    database = make_database(age)
    under = next(iter(judged([database], objectives, NOW)), None)

    assert stand(database, under, make_try(failed=failed)).safety is safety


def test_the_worst_come_first_and_all_are_counted() -> None:
    stands = [
        stand(make_database(HOUR, "b"), None, None),
        stand(make_database(HOUR, "a"), None, make_try(failed=True)),
        stand(make_database(None, "z"), None, None),
        stand(make_database(HOUR, "a"), None, None),
    ]

    ordered = [(one.safety, one.database.name) for one in sorted(stands, key=lambda it: it.place)]

    assert ordered == [
        (Safety.UNPROTECTED, "z"),
        (Safety.ENDANGERED, "a"),
        (Safety.PROTECTED, "a"),
        (Safety.PROTECTED, "b"),
    ]
    assert counted(stands) == {"unprotected": 1, "endangered": 1, "protected": 2}
