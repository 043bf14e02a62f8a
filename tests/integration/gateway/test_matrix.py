"""Every route of the OpenAPI document with every role and scope, and every id across two scopes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from services.gateway.rights import OF_SERVERS, RIGHTS, SHARED, Right
from shared.messages.values import Grant, Role
from tests.integration.gateway.operations import Operation, operations
from tests.integration.gateway.platform import SERVER, Gateway
from tests.integration.gateway.test_accounts import sign_in_as
from tests.integration.gateway.test_backups import completed

SCOPES: dict[str, dict[str, list[str]]] = {
    "everywhere": {},
    "environment": {"environments": ["staging"]},
    "group": {"group_ids": ["web"]},
    "without": {"without": ["backups.restore", "servers.read", "users.read", "policies.read"]},
}
ENDS_THE_SESSION = {"logout"}
LONG_ENOUGH_S = 0.4


def expected(right: Right, role: Role, scope: str) -> bool:
    """What the table of rights says, told without the code that decides."""
    if right in {Right.PUBLIC, Right.SELF, Right.PERSON}:
        return True
    limits = SCOPES[scope]
    whole = not limits.get("environments") and not limits.get("group_ids")
    return (
        right in RIGHTS[role]
        and right.value not in limits.get("without", ())
        and (whole or right in OF_SERVERS | SHARED)
    )


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("role", Role)
async def test_every_route_lets_in_exactly_whom_the_table_of_rights_lets_in(
    gateway: Gateway, role: Role, scope: str
) -> None:
    """One row of the matrix: real requests for every operation; all rows are its cells."""
    await sign_in_as(gateway, role, Grant(role=role, **SCOPES[scope]))
    wrong: list[str] = []
    cells = 0

    for operation in operations():
        if operation.id in ENDS_THE_SESSION:
            continue
        cells += 1
        refused = await guard_refuses(gateway, operation)
        if refused is expected(operation.right, role, scope):
            wrong.append(f"{operation.method} {operation.path} ({operation.right.value})")

    print(f"{role.value} {scope}: {cells} cells")  # noqa: T201 - the figure of this test
    assert not wrong
    assert cells >= 100


async def guard_refuses(gateway: Gateway, operation: Operation) -> bool:
    """Whether the guard says that the right is missing; a stream that opens was let in."""
    body: dict[str, Any] | None = {} if operation.method in {"POST", "PUT"} else None
    sending = gateway.client.request(operation.method, operation.filled(), json=body)
    if operation.streams:
        try:
            answer = await asyncio.wait_for(sending, LONG_ENOUGH_S)
        except TimeoutError:
            return False
    else:
        answer = await sending
    assert answer.status_code not in {401, 500}, f"{operation.id}: {answer.text}"
    lacking = f"the account lacks the right {operation.right.value}"
    return answer.status_code == 403 and answer.json()["detail"] == lacking


async def test_no_id_of_another_scope_opens_anything(gateway: Gateway, tmp_path: Path) -> None:
    """Abuse case 15: an administrator of staging with the ids of production, on every route."""
    ids, staging = await production(gateway, tmp_path)
    secret = set(ids.values())
    await sign_in_as(gateway, Role.ADMIN, Grant(role=Role.ADMIN, environments=["staging"]))
    wrong: list[str] = []
    tried = 0

    for operation in operations():
        if operation.streams or operation.id in ENDS_THE_SESSION:
            continue
        names = {name for name, _ in operation.parameters}
        if operation.right in OF_SERVERS and names & ids.keys():
            tried += 1
            foreign = await attempt(gateway, operation, ids, staging)
            unknown = await attempt(gateway, operation, {}, staging)
            if foreign[0] != 404 or foreign != unknown:
                wrong.append(f"{operation.method} {operation.path}: {foreign} / {unknown}")
        elif operation.method == "GET":
            tried += 1
            told = (await gateway.client.get(operation.filled(ids))).text
            if any(value in told for value in secret):
                wrong.append(f"{operation.path} tells of production")

    print(f"{tried} operations with the ids of another scope")  # noqa: T201 - the figure
    assert not wrong
    assert tried >= 50


async def attempt(
    gateway: Gateway, operation: Operation, ids: dict[str, str], staging: str
) -> tuple[int, str]:
    """Status and what was said, for a request that would be right in the own scope."""
    bodies: dict[str, Any] = {
        "NewServer": {**SERVER, "environment": "staging"},
        "DatabaseChoice": {},
        "NewArchive": {"store_id": "s"},
        "NewDownload": {},
        "NewHold": {"reason": "mine now"},
        "Release": {"reason": "mine now"},
        "NewRestore": {"target": {"server_id": staging, "endpoint": "main", "name": "copy"}},
        "NewSchedule": {
            "name": "mine",
            "cron": "30 2 * * *",
            "database_ids": [str(uuid4())],
            "targets": [{"store_id": "s"}],
        },
    }
    body = bodies[operation.body] if operation.body else None
    answer = await gateway.client.request(
        operation.method, operation.filled(ids), json=body, headers={"if-match": '"1"'}
    )
    return answer.status_code, answer.json().get("detail", "")


async def production(gateway: Gateway, folder: Path) -> tuple[dict[str, str], str]:
    """The ids of one of everything in production, by the names of the path's parameters, and the
    id of a server in staging."""
    store = await gateway.add_store(folder)
    server = await gateway.add_server(name="production", environment="production")
    staging = await gateway.add_server(name="staging", environment="staging")
    place = {"server_id": server["id"], "endpoint": "main", "name": "orders"}
    asked = await gateway.call("POST", "/backups", {"database": place, "store_id": store["id"]})
    backup = asked.json()
    await completed(gateway, backup["id"])
    target = {"target": {**place, "name": "again"}}
    restore = (await gateway.call("POST", f"/backups/{backup['id']}/restore", target)).json()
    schedule = await gateway.add(
        "/schedules",
        {
            "name": "nightly",
            "cron": "30 2 * * *",
            "time_zone": "Europe/Berlin",
            "database_ids": [backup["database_id"]],
            "targets": [{"store_id": store["id"]}],
        },
    )
    return {
        "server_id": server["id"],
        "database_id": backup["database_id"],
        "backup_id": backup["id"],
        "run_id": backup["run_id"],
        "restore_id": restore["id"],
        "schedule_id": schedule["id"],
    }, staging["id"]
