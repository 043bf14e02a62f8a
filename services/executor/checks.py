"""What a restored database is asked, and whether it answered as expected."""

from __future__ import annotations

import time
from collections.abc import Sequence

from services.executor.engines.base import EngineError, Questions
from shared.errors import PlatformError
from shared.messages.values import Check, CheckResult

CHECK_WITHIN_S = 60.0
"""What one query may take."""
_SHORTEST_SECRET = 4
_NAMED_IN_CAUSE = 3


class CheckFailedError(PlatformError):
    """A restored database did not answer as expected."""

    code = "restore.check_failed"
    default_fix = "look at the queries of the schedule, and at the data they ask for"


async def asked(
    questions: Questions, checks: Sequence[Check], secrets: Sequence[str] = ()
) -> list[CheckResult]:
    """Ask them all, one after the other: one that fails keeps no other from being asked."""
    return [await _one(questions, check, secrets) for check in checks]


async def _one(questions: Questions, check: Check, secrets: Sequence[str]) -> CheckResult:
    began = time.monotonic()
    try:
        values = await questions.ask(check.query, CHECK_WITHIN_S)
        passed, got = judged(check, values)
    except EngineError as error:
        passed, got = False, error.cause
    return CheckResult(
        name=check.name,
        passed=passed,
        wanted=check.wanted,
        got=shown(got, secrets),
        seconds=round(time.monotonic() - began, 3),
    )


def refused(checks: Sequence[Check], error: PlatformError) -> list[CheckResult]:
    """None of them could be asked."""
    return [
        CheckResult(name=one.name, passed=False, wanted=one.wanted, got=error.cause, seconds=0.0)
        for one in checks
    ]


def judged(check: Check, values: Sequence[str | None]) -> tuple[bool, str]:
    """Whether the first column of the first rows is what is expected, and what it is."""
    if check.expected is None and check.at_least is None:
        return bool(values), f"a row: {values[0]}" if values else "no row"
    if len(values) != 1:
        return False, "no row" if not values else "more than one row"
    value = "null" if values[0] is None else values[0]
    if check.expected is not None:
        return values[0] == check.expected, value
    try:
        return values[0] is not None and float(value) >= (check.at_least or 0.0), value
    except ValueError:
        return False, f"no number: {value}"


def shown(text: str, secrets: Sequence[str]) -> str:
    """One line of it, without what an order holds in secret."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())


def require_passed(results: Sequence[CheckResult]) -> None:
    """Raise CheckFailedError naming the first that failed: wanted and got."""
    failed = [one for one in results if not one.passed]
    if failed:
        named = "; ".join(
            f"{one.name}: wanted {one.wanted}, got {one.got}" for one in failed[:_NAMED_IN_CAUSE]
        )
        raise CheckFailedError(f"{len(failed)} of {len(results)} checks failed: {named}")
