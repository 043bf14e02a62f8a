"""What a run is about: told in every list, and only to whom it concerns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.messages.values import Role
from tests.integration.gateway.platform import Gateway
from tests.integration.gateway.test_accounts import sign_in_as
from tests.integration.gateway.test_commands import COMMAND
from tests.integration.gateway.test_scope import STAGING, restore, two_servers


async def run(gateway: Gateway, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await gateway.call("GET", f"/runs/{run_id}")).json()
    return found


async def listed(gateway: Gateway, query: str) -> set[str]:
    answer = await gateway.call("GET", f"/runs?{query}")
    return {item["id"] for item in answer.json()["items"]}


async def test_a_backups_run_names_its_database_alone_and_in_the_list(
    gateway: Gateway, tmp_path: Path
) -> None:
    backup = (await two_servers(gateway, tmp_path))["staging"]["backup"]

    one = await run(gateway, backup["run_id"])
    items = (await gateway.call("GET", "/runs")).json()["items"]

    assert (one["object_name"], one["database_id"]) == ("orders", backup["database_id"])
    assert [item["object_name"] for item in items] == ["orders", "orders"]
    assert one in items


async def test_a_restores_run_names_what_it_comes_from_and_what_it_makes(
    gateway: Gateway, tmp_path: Path
) -> None:
    towns = await two_servers(gateway, tmp_path)
    source = towns["production"]["backup"]

    real = (await restore(gateway, towns["production"], towns["staging"])).json()
    test = (await gateway.call("POST", f"/backups/{source['id']}/test-restore")).json()

    shown = await run(gateway, real["run_id"])
    assert (shown["object_name"], shown["target_name"]) == ("orders", "again")
    assert (shown["database_id"], shown["test"]) == (source["database_id"], False)
    assert (await run(gateway, test["run_id"]))["test"] is True


async def test_a_commands_run_names_the_command(gateway: Gateway) -> None:
    server = await gateway.add_server()
    command = await gateway.add("/commands", COMMAND)
    wish = {"server_id": server["id"], "variables": {"jobs": "4"}, "reason": "slow"}

    asked = (await gateway.call("POST", f"/commands/{command['id']}/execute", wish)).json()

    shown = await run(gateway, asked["run_id"])
    assert (shown["object_name"], shown.get("database_id")) == ("vacuum", None)


async def test_runs_are_found_by_their_database_and_by_whether_they_ended(
    gateway: Gateway, tmp_path: Path
) -> None:
    towns = await two_servers(gateway, tmp_path)
    mine, other = towns["staging"]["backup"], towns["production"]["backup"]
    restored = (await restore(gateway, towns["staging"], towns["production"])).json()

    assert await listed(gateway, f"database_id={mine['database_id']}") == {
        mine["run_id"],
        restored["run_id"],
    }
    assert await listed(gateway, "ended=false") == {restored["run_id"]}
    assert await listed(gateway, "ended=true") == {mine["run_id"], other["run_id"]}


async def test_a_restore_from_outside_the_scope_does_not_tell_from_where(
    gateway: Gateway, tmp_path: Path
) -> None:
    towns = await two_servers(gateway, tmp_path)
    source = towns["production"]["backup"]
    restored = (await restore(gateway, towns["production"], towns["staging"])).json()
    await sign_in_as(gateway, Role.OPERATOR, STAGING)

    shown = await run(gateway, restored["run_id"])

    assert shown["target_name"] == "again"
    assert (shown.get("object_name"), shown.get("database_id")) == (None, None)
    assert await listed(gateway, f"database_id={source['database_id']}") == set()
