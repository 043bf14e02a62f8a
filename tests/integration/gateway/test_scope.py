"""What an account with a scope may see and do: abuse case 15, by hand for the main nouns."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from shared.messages.values import Grant, Role
from tests.integration.gateway.platform import Gateway
from tests.integration.gateway.test_accounts import sign_in_as
from tests.integration.gateway.test_backups import completed

STAGING = Grant(role=Role.OPERATOR, environments=["staging"])


async def two_servers(gateway: Gateway, folder: Path) -> dict[str, dict[str, Any]]:
    """A server in staging and one in production, each with a completed backup."""
    store = await gateway.add_store(folder)
    towns: dict[str, dict[str, Any]] = {}
    for environment in ("staging", "production"):
        server = await gateway.add_server(name=environment, environment=environment)
        place = {"server_id": server["id"], "endpoint": "main", "name": "orders"}
        asked = await gateway.call("POST", "/backups", {"database": place, "store_id": store["id"]})
        backup = asked.json()
        await completed(gateway, backup["id"])
        towns[environment] = {"server": server, "backup": backup, "place": place, "store": store}
    return towns


async def test_lists_hold_only_what_stands_in_the_scope(gateway: Gateway, tmp_path: Path) -> None:
    towns = await two_servers(gateway, tmp_path)
    everything = {path: await ids(gateway, path) for path in ("/servers", "/backups", "/runs")}
    await sign_in_as(gateway, Role.OPERATOR, STAGING)

    assert await ids(gateway, "/servers") == [towns["staging"]["server"]["id"]]
    assert await ids(gateway, "/backups") == [towns["staging"]["backup"]["id"]]
    for path in ("/runs", "/databases"):
        assert len(await ids(gateway, path)) == 1
    assert {len(found) for found in everything.values()} == {2}


async def test_what_stands_outside_the_scope_does_not_exist(
    gateway: Gateway, tmp_path: Path
) -> None:
    """Abuse case 15: the very answer that an unknown id gets, whatever the route."""
    other = (await two_servers(gateway, tmp_path))["production"]
    await sign_in_as(gateway, Role.OPERATOR, STAGING)

    for method, path, known in (
        ("GET", "/servers/{}", other["server"]["id"]),
        ("POST", "/servers/{}/test-connection", other["server"]["id"]),
        ("GET", "/servers/{}/databases", other["server"]["id"]),
        ("GET", "/backups/{}", other["backup"]["id"]),
        ("GET", "/runs/{}", other["backup"]["run_id"]),
        ("GET", "/runs/{}/log", other["backup"]["run_id"]),
        ("POST", "/runs/{}/cancel", other["backup"]["run_id"]),
        ("GET", "/databases/{}", other["backup"]["database_id"]),
    ):
        foreign = (await gateway.call(method, path.format(known))).json()
        unknown = (await gateway.call(method, path.format(uuid4()))).json()

        assert foreign["status"] == 404, path
        assert {**foreign, "request_id": ""} == {**unknown, "request_id": ""}, path


@pytest.mark.parametrize(
    ("source", "target", "status"),
    [
        ("staging", "staging", 202),
        ("staging", "production", 400),
        ("production", "staging", 404),
    ],
)
async def test_an_operator_of_staging_cannot_restore_into_production(
    gateway: Gateway, tmp_path: Path, source: str, target: str, status: int
) -> None:
    towns = await two_servers(gateway, tmp_path)
    await sign_in_as(gateway, Role.OPERATOR, STAGING)

    answer = await restore(gateway, towns[source], towns[target])

    assert answer.status_code == status


async def test_who_may_only_read_production_is_told_that_restoring_there_is_forbidden(
    gateway: Gateway, tmp_path: Path
) -> None:
    towns = await two_servers(gateway, tmp_path)
    reader = Grant(role=Role.VIEWER)
    await sign_in_as(gateway, Role.OPERATOR, STAGING, reader)

    allowed = await restore(gateway, towns["staging"], towns["staging"])
    refused = await restore(gateway, towns["staging"], towns["production"])

    assert allowed.status_code == 202
    assert (refused.status_code, refused.json()["code"]) == (403, "auth.forbidden")
    assert (await gateway.call("GET", f"/backups/{towns['production']['backup']['id']}")).is_success


async def test_a_grant_can_be_without_one_right_of_its_role(
    gateway: Gateway, tmp_path: Path
) -> None:
    towns = await two_servers(gateway, tmp_path)
    await sign_in_as(gateway, Role.OPERATOR, Grant(role=Role.OPERATOR, without=["backups.restore"]))

    refused = await restore(gateway, towns["staging"], towns["staging"])

    assert refused.status_code == 403
    assert len(await ids(gateway, "/backups")) == 2


async def test_an_administrator_of_staging_puts_no_server_into_production(
    gateway: Gateway, tmp_path: Path
) -> None:
    towns = await two_servers(gateway, tmp_path)
    server = towns["staging"]["server"]
    body = {name: server[name] for name in ("name", "runner", "endpoints")}
    await sign_in_as(gateway, Role.ADMIN, Grant(role=Role.ADMIN, environments=["staging"]))

    made = await gateway.call("POST", "/servers", {**body, "environment": "production"})
    moved = await gateway.call(
        "PUT",
        f"/servers/{server['id']}",
        {**body, "environment": "production"},
        if_match=f'"{server["version"]}"',
    )
    users = await gateway.call("GET", "/audit/logs")
    me = (await gateway.call("GET", "/auth/me")).json()

    assert me["servers_within"] == {"environments": ["staging"], "group_ids": []}
    assert (made.status_code, moved.status_code, users.status_code) == (403, 403, 403)


async def ids(gateway: Gateway, path: str) -> list[str]:
    """The ids of a list."""
    return [item["id"] for item in (await gateway.call("GET", path)).json()["items"]]


async def restore(gateway: Gateway, source: dict[str, Any], target: dict[str, Any]) -> Any:
    """Ask for a restore of one town's backup into the other's server."""
    body = {"target": {**target["place"], "name": "again"}}
    return await gateway.call("POST", f"/backups/{source['backup']['id']}/restore", body)


async def test_a_server_a_schedule_and_the_account_tell_what_the_caller_may_do_with_them(
    gateway: Gateway, tmp_path: Path
) -> None:
    towns = await two_servers(gateway, tmp_path)
    schedules = {
        environment: await gateway.add(
            "/schedules",
            {
                "name": environment,
                "cron": "0 3 * * *",
                "database_ids": [town["backup"]["database_id"]],
                "targets": [{"store_id": town["store"]["id"]}],
            },
        )
        for environment, town in towns.items()
    }
    await sign_in_as(gateway, Role.OPERATOR, STAGING, Grant(role=Role.VIEWER))

    async def may(path: str) -> set[str]:
        return set((await gateway.call("GET", path)).json()["may"])

    acting = {"backups.create", "backups.restore", "databases.write", "commands.execute"}
    here, there = [await may(f"/servers/{towns[it]['server']['id']}") for it in towns]
    assert acting <= here
    assert not acting & there
    assert {"servers.read", "backups.read"} <= there
    assert "servers.write" not in here
    listed = (await gateway.call("GET", "/servers")).json()["items"]
    assert {one["name"]: set(one["may"]) for one in listed} == {
        "staging": here,
        "production": there,
    }
    assert await may(f"/schedules/{schedules['staging']['id']}") == {
        "schedules.read",
        "schedules.run",
        "schedules.write",
    }
    assert await may(f"/schedules/{schedules['production']['id']}") == {"schedules.read"}
    me = (await gateway.call("GET", "/auth/me")).json()
    assert "backups.create" in me["rights"]
    assert "backups.create" not in me["rights_everywhere"]
    assert "backups.read" in me["rights_everywhere"]
