"""What the overview of the dashboard asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from shared.messages.facts import BackupFailed
from shared.messages.values import Grant, Problem, Role
from tests.integration.gateway.platform import Gateway
from tests.integration.gateway.test_accounts import sign_in_as
from tests.integration.gateway.test_backups import completed, projected


async def backed_up(gateway: Gateway, folder: Path, *names: str) -> dict[str, Any]:
    """A server with a completed backup of each of these databases, and a store."""
    server, store = await gateway.add_server(), await gateway.add_store(folder)
    wish: dict[str, Any] = {"store_id": store["id"]}
    for name in names:
        wish["database"] = {"server_id": server["id"], "endpoint": "main", "name": name}
        backup = (await gateway.call("POST", "/backups", wish)).json()
        await completed(gateway, backup["id"])
    return wish


async def test_databases_are_told_with_their_safety_the_worst_first_page_by_page(
    gateway: Gateway, tmp_path: Path
) -> None:
    wish = await backed_up(gateway, tmp_path, "archive", "orders", "shop")
    failing = (await gateway.call("POST", "/backups", wish)).json()
    problem = Problem(code="source.unreachable", cause="no route to the host")
    await projected(
        gateway,
        BackupFailed(
            backup_id=UUID(failing["id"]),
            run_id=UUID(failing["run_id"]),
            attempt=1,
            problem=problem,
        ),
    )

    first = (await gateway.call("GET", "/databases/protection?limit=2")).json()
    cursor = first["next_cursor"]
    rest = (await gateway.call("GET", f"/databases/protection?limit=2&cursor={cursor}")).json()
    days = (await gateway.call("GET", "/backups/days?days=30")).json()["items"]

    shown = [(it["database"], it["safety"]) for it in [*first["items"], *rest["items"]]]
    assert shown == [("shop", "endangered"), ("archive", "protected"), ("orders", "protected")]
    assert first["counts"] == {"unprotected": 0, "endangered": 1, "protected": 2}
    assert first["items"][0]["last"]["problem"]["code"] == "source.unreachable"
    assert sum(day["failed"] for day in first["items"][0]["days"]) == 1
    assert sum(day["completed"] for day in days) == 3
    assert sum(day["stored_bytes"] for day in days) == 15
    assert rest["next_cursor"] is None


async def test_whoever_sees_no_server_there_sees_no_database_and_no_day(
    gateway: Gateway, tmp_path: Path
) -> None:
    await backed_up(gateway, tmp_path, "shop")
    await sign_in_as(gateway, Role.VIEWER, Grant(role=Role.VIEWER, environments=["elsewhere"]))

    seen = (await gateway.call("GET", "/databases/protection")).json()
    days = (await gateway.call("GET", "/backups/days")).json()

    assert seen["items"] == []
    assert seen["counts"] == {"unprotected": 0, "endangered": 0, "protected": 0}
    assert days["items"] == []
    assert (await gateway.call("GET", "/backups/days?days=9999")).status_code == 400
    assert (await gateway.call("GET", "/databases/protection?cursor=abc")).status_code == 400
