"""Whether a restored database answered as expected, and what is said of it."""

from __future__ import annotations

import pytest

from services.executor.checks import CheckFailedError, asked, judged, require_passed
from services.executor.engines.base import CheckRefusedError
from shared.messages.values import Check


def check(**fields: object) -> Check:
    return Check(**{"name": "orders", "query": "select 1"} | fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "values", "passed", "got"),
    [
        (check(), ["x"], True, "a row: x"),
        (check(), ["x", "y"], True, "a row: x"),
        (check(), [], False, "no row"),
        (check(expected="5"), ["5"], True, "5"),
        (check(expected="5"), ["5.0"], False, "5.0"),
        (check(expected="5"), ["5", "5"], False, "more than one row"),
        (check(expected="null"), [None], False, "null"),
        (check(at_least=5), ["5"], True, "5"),
        (check(at_least=5), ["4.99"], False, "4.99"),
        (check(at_least=0), [None], False, "null"),
        (check(at_least=0), ["many"], False, "no number: many"),
        (check(at_least=0), ["nan"], False, "nan"),
        (check(at_least=5), [], False, "no row"),
    ],
)
def test_an_answer_is_compared(
    wanted: Check, values: list[str | None], passed: bool, got: str
) -> None:
    assert judged(wanted, values) == (passed, got)


class Answering:
    """Answers, or fails, by the query."""

    async def ask(self, query: str, within_s: float) -> list[str | None]:
        assert within_s > 0
        if query == "broken":
            raise CheckRefusedError("the query failed (SQLSTATE 42703)")
        return [query]


async def test_every_check_is_asked_and_the_failed_ones_are_named_without_secrets() -> None:
    checks = [
        check(name="good", query="1", expected="1"),
        check(name="broken", query="broken"),
        check(name="leaky", query="canary-hunter2\n\tand more", expected="nothing"),
    ]

    results = await asked(Answering(), checks, ["canary-hunter2"])

    assert [one.passed for one in results] == [True, False, False]
    assert results[2].got == "*** and more"
    with pytest.raises(CheckFailedError) as raised:
        require_passed(results)
    assert raised.value.cause == (
        "2 of 3 checks failed: broken: wanted a row, got the query failed (SQLSTATE 42703); "
        "leaky: wanted = nothing, got *** and more"
    )
    require_passed(results[:1])
