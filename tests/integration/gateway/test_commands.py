"""Command templates, and asking for their execution."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from shared.messages.facts import ExecutionFailed
from shared.messages.values import Grant, Problem, Role
from tests.integration.gateway.platform import Gateway
from tests.integration.gateway.test_accounts import sign_in_as
from tests.integration.gateway.test_backups import projected

COMMAND: dict[str, Any] = {
    "name": "vacuum",
    "kind": "shell",
    "template": "vacuumdb {{ options }} --jobs {{jobs}} {{ mode }}",
    "variables": [
        {"name": "options", "default": "--all"},
        {"name": "jobs", "type": "integer"},
        {"name": "mode", "type": "choice", "choices": ["full", "lazy"], "required": False},
    ],
    "roles": ["operator", "admin"],
}


@pytest.fixture
async def command(gateway: Gateway) -> dict[str, Any]:
    return await gateway.add("/commands", COMMAND)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"template": "x {{ unknown }}", "variables": []}, "/template"),
        ({"template": "x"}, "/variables/0/name"),
        ({"kind": "cobol"}, "/kind"),
        ({"roles": []}, "/roles"),
        ({"timeout_s": 0}, "/timeout_s"),
    ],
)
async def test_a_template_that_cannot_work_is_refused(
    gateway: Gateway, change: dict[str, Any], pointer: str
) -> None:
    answer = await gateway.call("POST", "/commands", {**COMMAND, **change})

    assert answer.status_code == 400
    assert pointer in {fault["pointer"] for fault in answer.json()["errors"]}


async def test_an_execution_is_a_run_of_its_own_and_ends_as_the_scheduler_says(
    gateway: Gateway, command: dict[str, Any]
) -> None:
    server = await gateway.add_server()
    wish = {"server_id": server["id"], "variables": {"jobs": "4"}, "reason": "slow"}
    path = f"/commands/{command['id']}"

    answer = await gateway.call("POST", f"{path}/execute", wish, idempotency_key="k")
    again = await gateway.call("POST", f"{path}/execute", wish, idempotency_key="k")

    assert answer.status_code == 202, answer.text
    assert again.json() == answer.json()
    execution = answer.json()
    assert execution["variables"] == {"jobs": "4", "options": "--all"}
    run = (await gateway.client.get(answer.headers["location"])).json()
    assert (run["kind"], run["object_id"]) == ("command", execution["id"])
    failed = ExecutionFailed(
        execution_id=UUID(execution["id"]),
        run_id=UUID(run["id"]),
        attempt=0,
        problem=Problem(code="command.not_executable", cause="not in this version"),
    )
    await projected(gateway, failed)
    listed = (await gateway.call("GET", f"{path}/executions")).json()["items"]
    assert [(one["status"], one["problem"]["code"]) for one in listed] == [
        ("failed", "command.not_executable")
    ]
    assert (await gateway.client.get(answer.headers["location"])).json()["status"] == "failed"

    async def count(query: str) -> int:
        return len((await gateway.call("GET", f"{path}/executions?{query}")).json()["items"])

    actor, at = listed[0]["actor"], listed[0]["requested_at"].replace("+", "%2B")
    all_of_it = ("status=failed", f"server_id={server['id']}", f"actor={actor}", f"since={at}")
    none_of_it = ("status=requested", f"server_id={UUID(int=1)}", "actor=x", f"until={at}")
    assert [await count(query) for query in (*all_of_it, "&".join(all_of_it))] == [1] * 5
    assert [await count(query) for query in none_of_it] == [0] * 4


@pytest.mark.parametrize(
    "variables",
    [{}, {"jobs": "four"}, {"jobs": "4", "mode": "both"}, {"jobs": "4", "other": "x"}],
)
async def test_values_that_do_not_fit_are_refused(
    gateway: Gateway, command: dict[str, Any], variables: dict[str, str]
) -> None:
    server = await gateway.add_server()
    wish = {"server_id": server["id"], "variables": variables}

    answer = await gateway.call("POST", f"/commands/{command['id']}/execute", wish)

    assert answer.status_code == 400


async def test_only_the_named_roles_execute_and_only_in_their_scope(gateway: Gateway) -> None:
    server = await gateway.add_server(environment="production")
    body = {**COMMAND, "template": "x", "variables": []}
    for_admins = await gateway.add("/commands", {**body, "name": "one", "roles": ["admin"]})
    for_both = await gateway.add("/commands", {**body, "name": "two"})
    wish = {"server_id": server["id"]}

    async def codes() -> list[int]:
        return [
            (await gateway.call("POST", f"/commands/{one['id']}/execute", wish)).status_code
            for one in (for_admins, for_both)
        ]

    await sign_in_as(gateway, Role.OPERATOR)
    operator = await codes()
    await sign_in_as(gateway, Role.OPERATOR, Grant(role=Role.OPERATOR, environments=["staging"]))
    elsewhere = await codes()
    await sign_in_as(gateway, Role.VIEWER)
    viewer = await codes()

    assert (operator, elsewhere, viewer) == ([403, 202], [403, 404], [403, 403])


async def test_a_command_tells_whether_the_caller_may_execute_it_and_where(
    gateway: Gateway,
) -> None:
    here = await gateway.add_server(name="here", environment="staging")
    there = await gateway.add_server(name="there", environment="production")
    for name, roles in (("for all", ["operator", "admin"]), ("for few", ["admin"])):
        await gateway.add("/commands", {**COMMAND, "name": name, "roles": roles})
    await sign_in_as(
        gateway,
        Role.OPERATOR,
        Grant(role=Role.OPERATOR, environments=["staging"]),
        Grant(role=Role.VIEWER),
    )

    told = (await gateway.call("GET", "/commands")).json()["items"]

    assert {one["name"]: one["may_execute"] for one in told} == {"for all": True, "for few": False}
    where = {}
    for one in told:
        assert (await gateway.call("GET", f"/commands/{one['id']}")).json() == one
        found = (await gateway.call("GET", f"/servers?executes={one['id']}")).json()["items"]
        where[one["name"]] = [server["id"] for server in found]
    assert where == {"for all": [here["id"]], "for few": []}
    for one in told:
        for server in (here, there):
            wish = {"server_id": server["id"], "variables": {"jobs": "4"}}
            answer = await gateway.call("POST", f"/commands/{one['id']}/execute", wish)
            allowed = server["id"] in where[one["name"]]
            assert (answer.status_code == 202) is allowed
