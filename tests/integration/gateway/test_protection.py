"""What the overview of the dashboard asks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from shared.messages.facts import (
    ArchiveReplicated,
    ArchiveRequested,
    BackupCorrupted,
    BackupFailed,
)
from shared.messages.facts.archives import archive_id
from shared.messages.values import Grant, Problem, Role
from tests.integration.gateway.platform import Gateway
from tests.integration.gateway.test_accounts import sign_in_as
from tests.integration.gateway.test_backups import completed, projected
from tests.support.waiting import eventually

FLIPPED = Problem(code="archive.object_changed", cause="a bit is flipped")


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


async def test_an_increment_whose_full_is_damaged_makes_no_database_safe(
    gateway: Gateway, tmp_path: Path
) -> None:
    wish = await backed_up(gateway, tmp_path, "shop")
    (old,) = (await gateway.call("GET", "/backups")).json()["items"]
    full, increment = [
        (await gateway.call("POST", "/backups", wish)).json()["id"] for _ in range(2)
    ]
    await completed(gateway, full)
    await completed(gateway, increment, parent=full)
    newest = await _good_at(gateway)

    await projected(gateway, BackupCorrupted(backup_id=UUID(full), problem=FLIPPED))
    older = await _good_at(gateway)
    await projected(gateway, BackupCorrupted(backup_id=UUID(old["id"]), problem=FLIPPED))
    none = await _shown(gateway)

    taken = (await gateway.call("GET", f"/backups/{increment}")).json()["taken_at"]
    assert (newest, older) == (taken, old["taken_at"])
    assert (none["safety"], none["good_at"]) == ("unprotected", None)


async def test_an_increment_stays_good_while_a_copy_of_its_full_does(
    gateway: Gateway, tmp_path: Path
) -> None:
    wish = await backed_up(gateway, tmp_path, "shop")
    (full,) = (await gateway.call("GET", "/backups")).json()["items"]
    increment = (await gateway.call("POST", "/backups", wish)).json()["id"]
    await completed(gateway, increment, parent=full["id"])
    id_ = UUID(full["id"])
    copy: dict[str, Any] = {
        "archive_id": archive_id(id_, "far"),
        "backup_id": id_,
        "store_id": "far",
    }
    await projected(gateway, ArchiveRequested(**copy))
    stored = ArchiveReplicated(**copy, prefix="x", stored_bytes=1, seconds=0.1)
    await projected(gateway, stored)

    await projected(gateway, BackupCorrupted(backup_id=id_, problem=FLIPPED))

    taken = (await gateway.call("GET", f"/backups/{increment}")).json()["taken_at"]
    assert await _good_at(gateway) == taken


async def test_what_is_to_be_deleted_makes_no_database_safe(
    gateway: Gateway, tmp_path: Path
) -> None:
    await backed_up(gateway, tmp_path, "shop")
    (only,) = (await gateway.call("GET", "/backups")).json()["items"]

    assert (await gateway.call("DELETE", f"/backups/{only['id']}")).status_code == 202

    async def told() -> bool:
        return (await _shown(gateway))["safety"] == "unprotected"

    await eventually(told)


async def _shown(gateway: Gateway) -> dict[str, Any]:
    (item,) = (await gateway.call("GET", "/databases/protection")).json()["items"]
    return dict(item)


async def _good_at(gateway: Gateway) -> str | None:
    return (await _shown(gateway))["good_at"]
