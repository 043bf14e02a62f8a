"""Schemathesis against the live gateway: nothing that it answers is undocumented, nothing is 5xx.

`HOLDFAST_FUZZ_EXAMPLES` says how many cases each operation gets; a few by default, many in a soak.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
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

from services.gateway.app import create_litestar
from services.gateway.openapi import described
from shared.bus.gate import GUARD
from tests.integration.gateway.platform import Gateway

EXAMPLES = int(os.environ.get("HOLDFAST_FUZZ_EXAMPLES", "4"))
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
async def test_no_answer_is_undocumented_and_none_is_a_failure_of_the_gateway(
    gateway: Gateway, url: str
) -> None:
    async def guard(_data: bytes) -> bytes:
        return b'{"ok": true}'

    await gateway.deps.bus.answer(GUARD, guard)
    document = described(create_litestar(None))
    authorization = gateway.client.headers["authorization"]

    counted, failures = await asyncio.to_thread(_fuzz, document, url, authorization)

    assert not failures, "\n".join(failures)
    assert min(counted.values()) >= 1
    assert sum(counted.values()) > len(counted) * EXAMPLES / 2
    still = await gateway.call("GET", "/auth/me")
    assert still.status_code == 200, "the session was lost on the way, so little was tried"


def _fuzz(document: dict[str, Any], url: str, authorization: str) -> tuple[Counter[str], list[str]]:
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
            _fuzz_one(operation, name, url, authorization, counted, failures)
    assert names >= NOT_FUZZED
    return counted, failures


def _fuzz_one(  # noqa: PLR0917 - what the closure needs
    operation: Any,
    name: str,
    url: str,
    authorization: str,
    counted: Counter[str],
    failures: list[str],
) -> None:
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=EXAMPLES < 50,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def call(case: Any) -> None:
        counted[name] += 1
        response = case.call(base_url=url, headers={"Authorization": authorization}, timeout=60)
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as group:
            told = [one.title + ": " + one.message[:300] for one in group.exceptions]
            failures.append(f"{name} {response.status_code}: {told} {response.text[:300]}")

    call()
