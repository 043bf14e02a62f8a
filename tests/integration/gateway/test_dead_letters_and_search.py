"""Dead letters shown and retried; things found by name or id, within the scope."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from shared.bus import Delivery
from shared.bus.base import EVENTS
from shared.errors import InvalidInputError
from shared.messages.facts import LetterRetried
from shared.messages.values import Grant, Role
from tests.integration.gateway.platform import Gateway, Platform
from tests.integration.gateway.test_accounts import sign_in_as
from tests.integration.gateway.test_scope import two_servers
from tests.support.waiting import eventually


async def test_a_dead_letter_is_shown_without_secrets_and_retried_once(
    gateway: Gateway, platform: Platform
) -> None:
    heard: list[Delivery] = []

    async def refuse(delivery: Delivery) -> None:
        heard.append(delivery)
        raise InvalidInputError("nobody can do this")

    working = asyncio.create_task(platform.bus.work("d1", EVENTS, ("cfg.server.>",), refuse))
    await gateway.add_server()

    async def letters() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await gateway.call("GET", "/dlq?durable=d1")).json()["items"]
        return items

    (letter,) = await eventually(letters)
    shown = await gateway.call("GET", f"/dlq/{letter['seq']}")
    retried = await gateway.call("POST", f"/dlq/{letter['seq']}/retry")
    again = await gateway.call("POST", f"/dlq/{letter['seq']}/retry")

    assert (letter["reason"], letter["stream"]) == ("input.invalid", EVENTS)
    assert shown.json()["said"]["name"] == "shop"
    assert "gAAAAA" not in shown.text
    assert "token" not in shown.text
    assert (retried.status_code, again.status_code) == (202, 404)
    await eventually(lambda: _twice(heard))
    (newer,) = await eventually(letters)
    assert newer["seq"] > letter["seq"]
    said = [one.message for one in platform.server.stream(EVENTS).messages]
    assert [one.letter for one in said if isinstance(one, LetterRetried)] == [letter["seq"]]
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


async def _twice(heard: list[Delivery]) -> bool:
    return len(heard) == 2


async def test_things_are_found_by_a_part_of_their_name_or_by_id(
    gateway: Gateway, tmp_path: Path
) -> None:
    towns = await two_servers(gateway, tmp_path / "cellar 100%")
    backup = towns["staging"]["backup"]

    assert await found(gateway, "STAG") == {("server", "staging")}
    assert await found(gateway, "100%") == {("store", "cellar 100%")}
    assert await found(gateway, "%") == {("store", "cellar 100%")}
    assert await found(gateway, "order") == {("database", "orders"), ("backup", "orders")}
    assert await found(gateway, backup["id"]) == {("backup", "orders")}
    assert await found(gateway, backup["run_id"]) == {("run", "backup")}
    assert await found(gateway, "nothing is called so") == set()


async def test_nothing_outside_the_scope_is_found(gateway: Gateway, tmp_path: Path) -> None:
    towns = await two_servers(gateway, tmp_path)
    hidden = towns["production"]
    await sign_in_as(gateway, Role.VIEWER, Grant(role=Role.VIEWER, environments=["staging"]))

    for wanted in ("production", hidden["backup"]["id"], hidden["backup"]["run_id"]):
        assert await found(gateway, wanted) == set()
    ids = {hit["id"] for hit in (await gateway.call("GET", "/search?q=orders")).json()["items"]}
    assert towns["staging"]["backup"]["id"] in ids
    assert hidden["backup"]["id"] not in ids


async def found(gateway: Gateway, wanted: str) -> set[tuple[str, str]]:
    answer = await gateway.client.get("/api/v1/search", params={"q": wanted})
    assert answer.status_code == 200, answer.text
    return {(hit["noun"], hit["name"]) for hit in answer.json()["items"]}
