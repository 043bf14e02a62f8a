"""Schemathesis against the live gateway: nothing that it answers is undocumented, nothing is 5xx.

Each operation gets a few cases, many in `make soak`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from services.gateway import tokens
from services.gateway.app import create_litestar
from services.gateway.openapi import described
from shared.bus.gate import GUARD
from tests.integration.gateway.platform import Gateway

EXAMPLES = [4, pytest.param(200, marks=pytest.mark.soak)]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
NOT_FUZZED = {
    "listen",  # never ends
    "logout",  # would end the session that everything else needs
}
"""Every other operation is called; a name that no longer exists fails the test."""


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("examples", EXAMPLES)
async def test_no_answer_is_undocumented_and_none_is_a_failure_of_the_gateway(
    gateway: Gateway,
    url: str,
    examples: int,
    record_property: Callable[[str, object], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tokens, "ACCESS_S", 3600)  # on a busy machine this outlasts a usual token
    await gateway.log_in()

    async def guard(_data: bytes) -> bytes:
        return b'{"ok": true}'

    await gateway.deps.bus.answer(GUARD, guard)
    document = described(create_litestar(None))
    authorization = gateway.client.headers["authorization"]

    counted, failures = await asyncio.to_thread(_fuzz, document, url, authorization, examples)
    record_property("cases", sum(counted.values()))

    assert not failures, "\n".join(failures)
    assert min(counted.values()) >= 1
    assert sum(counted.values()) > len(counted) * examples / 2
    still = await gateway.call("GET", "/auth/me")
    assert still.status_code == 200, "the session was lost on the way, so little was tried"


def _fuzz(
    document: dict[str, Any], url: str, authorization: str, examples: int
) -> tuple[Counter[str], list[str]]:
    """How many cases each operation got, and what was wrong."""
    schema = schemathesis.openapi.from_dict(document)
    schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
    counted: Counter[str] = Counter()
    failures: list[str] = []
    names = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        name = str(operation.definition.raw["operationId"])
        names.add(name)
        if name not in NOT_FUZZED:
            counted[name], wrong = _fuzz_one(operation, url, authorization, examples)
            failures += [f"{name} {one}" for one in wrong]
    assert names >= NOT_FUZZED
    return counted, failures


def _fuzz_one(operation: Any, url: str, authorization: str, examples: int) -> tuple[int, list[str]]:
    count, failures = 0, list[str]()

    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        derandomize=examples < 50,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def call(case: Any) -> None:
        nonlocal count
        count += 1
        response = case.call(base_url=url, headers={"Authorization": authorization}, timeout=60)
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as group:
            told = [one.title + ": " + one.message[:300] for one in group.exceptions]
            failures.append(f"{response.status_code}: {told} {response.text[:300]}")

    call()
    return count, failures
