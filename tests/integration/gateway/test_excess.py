"""abuse case 38: too deep, too long, too many: refused with a problem, never a failure of ours."""

from __future__ import annotations

import pytest

from tests.integration.gateway.platform import Gateway

MIB = 1 << 20
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        (b"[" * 100_000, {400}),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, {400}),
        (b'{"name":"n","store":' + b'{"kind":' * 2000 + b"1" + b"}" * 2001, {400}),
        (b'{"name":"' + b"x" * (MIB + 1) + b'"}', {413}),
        (b'{"name":"' + b"x" * (MIB // 2) + b'"}', {400}),
        (b'{"keep_last":1e999}', {400}),
        (b'{"keep_last":' + b"9" * 5000 + b"}", {400}),
        (b"\xff\xfe", {400}),
    ],
    ids=["brackets", "objects", "plugin", "body", "name", "number", "digits", "bytes"],
)
@pytest.mark.parametrize("path", ["/stores", "/policies", "/commands"])
async def test_a_body_beyond_all_measure_is_refused(
    gateway: Gateway, path: str, body: bytes, statuses: set[int]
) -> None:
    """abuse case 38: JSON depth and size."""
    answer = await gateway.client.post(f"/api/v1{path}", content=body, headers=JSON)

    assert answer.status_code in statuses, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"
    assert len(answer.content) < 10_000


@pytest.mark.parametrize(
    "query",
    [
        "limit=501",
        "limit=99999999999999999999999",
        "limit=0",
        "limit=-1",
        "cursor=" + "A" * 3000,
        "actor=" + "a" * 5000,
    ],
)
async def test_a_page_beyond_all_measure_is_refused(gateway: Gateway, query: str) -> None:
    """abuse case 38: huge pages."""
    answer = await gateway.call("GET", f"/audit/logs?{query}")

    assert answer.status_code == 400


async def test_many_parameters_are_no_failure(gateway: Gateway) -> None:
    """abuse case 38: many parameters."""
    many = "&".join(f"p{n}={n}" for n in range(5000))

    answer = await gateway.call("GET", f"/audit/logs?{many}")

    assert answer.status_code in {200, 400, 414}


@pytest.mark.parametrize(
    "path", ["/search?q=a%00b", "/audit/logs?actor=%00", "/settings/policy/a%00b/versions"]
)
async def test_a_text_that_no_table_can_hold_is_refused_or_not_found(
    gateway: Gateway, path: str
) -> None:
    """abuse case 38: found by schemathesis; it was told as a read model that does not answer."""
    answer = await gateway.call("GET", path)

    assert answer.status_code in {400, 404}
