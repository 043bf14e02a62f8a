"""Every list of the OpenAPI document: pages, an order both ways, filters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from services.gateway.app import create_litestar
from services.gateway.openapi import described
from tests.integration.gateway.platform import Gateway

IN_THE_ORDER_OF_THE_LOG = {"list_audit", "list_dead_letters", "list_setting_versions"}
IN_THE_ORDER_OF_A_JUDGEMENT = {"list_protection", "preview_policy"}
NEEDS_SOMETHING = {"list_executions"}
TOLD_WHOLE = {
    *("list_archives", "list_backup_days", "search"),
}
"""One per store; a year of days; the first few of each noun in a search."""


def lists() -> Iterator[tuple[str, str, dict[str, dict[str, Any]]]]:
    """Operation, path and query parameters of each list."""
    for path, methods in described(create_litestar(None))["paths"].items():
        listed = methods.get("get", {})
        given = {
            one["name"]: one["schema"]
            for one in listed.get("parameters", ())
            if one["in"] == "query"
        }
        if {"limit", "cursor"} <= {*given}:
            yield listed["operationId"], path, given


LISTS = [*lists()]
SORTED = [
    pytest.param(path, order, id=f"{name} by {order}")
    for name, path, given in LISTS
    if name not in NEEDS_SOMETHING and "{" not in path
    for order in given.get("sort", {}).get("enum", ())
    if not order.startswith("-")
]


def test_every_answer_of_many_things_is_read_page_by_page_or_is_named_here() -> None:
    document = described(create_litestar(None))
    paged = {name for name, _, _ in LISTS}
    many = {
        methods["get"]["operationId"]
        for methods in document["paths"].values()
        if "get" in methods and "items" in _fields(document, methods["get"])
    }

    assert paged <= many
    assert many - paged == TOLD_WHOLE


def _fields(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """The fields of what a good answer holds."""
    content = operation["responses"].get("200", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema", {})
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    fields: dict[str, Any] = schema.get("properties", {})
    return fields


def test_every_list_has_an_order_that_can_be_turned_round_or_the_one_it_is_made_of() -> None:
    unsorted = {
        name
        for name, _, given in LISTS
        if not any(
            f"-{order}" in given["sort"]["enum"] for order in given.get("sort", {}).get("enum", ())
        )
    }

    assert unsorted == IN_THE_ORDER_OF_THE_LOG | IN_THE_ORDER_OF_A_JUDGEMENT


def test_every_list_of_named_things_can_be_searched_by_name() -> None:
    assert not [
        name
        for name, _, given in LISTS
        if "name" in given.get("sort", {}).get("enum", ()) and "name" not in given
    ]


@pytest.fixture
async def filled(gateway: Gateway) -> Gateway:
    """Some of what needs nothing else to exist."""
    for name in ("Nightly 100%", "weekly", "nightly_b"):
        await gateway.add("/policies", {"name": name, "keep_last": 3})
        await gateway.add("/server-groups", {"name": name})
        await gateway.add("/blackouts", {"name": name, "cron": "0 8 * * *", "minutes": 60})
    return gateway


@pytest.mark.parametrize(("path", "order"), SORTED)
async def test_pages_of_one_follow_the_order_and_the_order_can_be_turned_round(
    filled: Gateway, path: str, order: str
) -> None:
    whole = await walked(filled, f"{path}?sort={order}&limit=500")
    by_one = await walked(filled, f"{path}?sort={order}&limit=1")
    turned = await walked(filled, f"{path}?sort=-{order}&limit=2")

    assert by_one == whole
    assert turned == whole[::-1]


async def test_a_part_of_a_name_is_looked_for_as_it_is_written(filled: Gateway) -> None:
    async def named(part: str) -> list[str]:
        answer = await filled.call("GET", f"/policies?name={part}")
        return [one["name"] for one in answer.json()["items"]]

    assert await named("NIGHTLY") == ["Nightly 100%", "nightly_b"]
    assert await named("%25") == ["Nightly 100%"]
    assert await named("_") == ["nightly_b"]


async def walked(gateway: Gateway, address: str) -> list[Any]:
    """Every item, page by page."""
    items: list[Any] = []
    cursor = ""
    while True:
        path = address.removeprefix("/api/v1") + cursor
        answer = await gateway.call("GET", path)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = f"&cursor={page['next_cursor']}"


async def test_sessions_are_told_page_by_page_and_a_cursor_is_of_one_order(
    gateway: Gateway,
) -> None:
    for _ in range(3):
        await gateway.deps.sessions.open((await gateway.call("GET", "/auth/me")).json()["id"])

    whole = await walked(gateway, "/api/v1/sessions?sort=opened_at")
    by_one = await walked(gateway, "/api/v1/sessions?sort=-opened_at&limit=1")
    some = (await gateway.call("GET", "/sessions?limit=1")).json()
    foreign = await gateway.call("GET", f"/sessions?sort=-opened_at&cursor={some['next_cursor']}")

    assert len(whole) >= 3
    assert by_one == whole[::-1]
    assert foreign.status_code == 400


def test_a_list_of_ids_says_what_an_id_is_like() -> None:
    """What is refused is told before, also inside of lists."""
    schemas = described(create_litestar(None))["components"]["schemas"]

    assert schemas["NewServer"]["properties"]["group_ids"]["items"] == {
        "type": "string",
        "pattern": "^[A-Za-z0-9_-]+$",
        "minLength": 1,
        "maxLength": 64,
    }
    lists = {
        (name, field): part["items"]
        for name, schema in schemas.items()
        if schema.get("additionalProperties") is False
        for field, part in schema.get("properties", {}).items()
        if part.get("type") == "array" and field.endswith(("_ids", "environments"))
    }
    assert len(lists) > 8
    assert [at for at, items in lists.items() if not {"pattern", "format"} & {*items}] == []
