"""Copies, verification, tests and usage of stores through the API."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.messages.facts import (
    ArchiveExpired,
    ArchiveReplicated,
    ArchiveRequested,
    BackupAttempted,
    BackupCompleted,
    BackupCorrupted,
    BackupDeleted,
    BackupVerified,
    BackupVerifyRequested,
    StoreTested,
    StoreTestRequested,
)
from shared.messages.facts.archives import archive_id
from shared.messages.values import Problem
from tests.integration.gateway.platform import Gateway, Platform
from tests.support.archives import archive_facts
from tests.support.waiting import eventually


@pytest.fixture
async def stores(gateway: Gateway, tmp_path: Path) -> tuple[str, str]:
    """Two stores' ids."""
    made = []
    for name in ("near", "far"):
        (tmp_path / name).mkdir()
        made.append((await gateway.add_store(tmp_path / name))["id"])
    return made[0], made[1]


async def completed(
    platform: Platform,
    gateway: Gateway,
    stores: tuple[str, str],
    size: int = 300,
    at: datetime | None = None,
) -> dict[str, Any]:
    servers = (await gateway.call("GET", "/servers")).json()["items"]
    server = servers[0] if servers else await gateway.add_server()
    database = {"server_id": server["id"], "endpoint": "main", "name": "shop"}
    wish = {"database": database, "store_id": stores[0]}
    asked = (await gateway.call("POST", "/backups", wish)).json()
    about = {"backup_id": UUID(asked["id"]), "run_id": UUID(asked["run_id"]), "attempt": 1}
    prefix = f"{asked['id']}/1"
    await platform.bus.append(
        BackupAttempted(**about, worker="w", store_id=stores[0], prefix=prefix)
    )
    archive = archive_facts(
        raw_bytes=1000,
        stored_bytes=size,
        manifest_sha256="0" * 64,
        taken_at=datetime.now(UTC) - timedelta(minutes=1),
    )
    now = datetime.now(UTC)
    done = BackupCompleted(
        **about, prefix=prefix, started_at=now, seconds=1.0, archive=archive, at=at or now
    )
    landed = await platform.bus.append(done)
    await gateway.deps.read_model.at_least(landed.seq)
    return asked


async def test_a_copy_is_asked_for_once_and_shown(
    platform: Platform, gateway: Gateway, stores: tuple[str, str]
) -> None:
    backup = await completed(platform, gateway, stores)
    path = f"/backups/{backup['id']}/archives"

    answers = [await gateway.call("POST", path, {"store_id": stores[1]}) for _ in range(2)]
    asked = await platform.bus.last_of("evt.archive.requested.>")
    shown = (await gateway.call("GET", path)).json()["items"]

    assert [one.status_code for one in answers] == [202, 202]
    assert len(asked) == 1
    assert [(one["store_id"], one["first"], one["status"]) for one in shown] == [
        (stores[0], True, "completed"),
        (stores[1], False, "requested"),
    ]


async def test_a_copy_that_leaves_is_not_accepted_as_if_it_would_stay(
    platform: Platform, gateway: Gateway, stores: tuple[str, str]
) -> None:
    backup = await completed(platform, gateway, stores)
    about: dict[str, Any] = {
        "archive_id": archive_id(UUID(backup["id"]), stores[1]),
        "backup_id": UUID(backup["id"]),
        "store_id": stores[1],
    }
    await platform.bus.append(ArchiveRequested(**about))
    copied = {"prefix": f"{backup['id']}/1", "stored_bytes": 300, "seconds": 0.1}
    await platform.bus.append(ArchiveReplicated(**about, **copied))
    later = datetime.now(UTC) + timedelta(days=1)
    expired = ArchiveExpired(**about, reason="a policy", delete_after=later)
    await gateway.deps.read_model.at_least((await platform.bus.append(expired)).seq)

    path = f"/backups/{backup['id']}/archives"
    answer = await gateway.call("POST", path, {"store_id": stores[1]})

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


async def test_a_copy_into_the_same_or_an_unknown_store_is_refused(
    platform: Platform, gateway: Gateway, stores: tuple[str, str]
) -> None:
    backup = await completed(platform, gateway, stores)
    path = f"/backups/{backup['id']}/archives"

    assert (await gateway.call("POST", path, {"store_id": stores[0]})).status_code == 409
    assert (await gateway.call("POST", path, {"store_id": "nowhere"})).status_code == 400


async def replaced(gateway: Gateway, store_id: str, **fields: Any) -> Any:
    """The answer to changing these fields of a store."""
    path = f"/stores/{store_id}"
    shown = (await gateway.call("GET", path)).json()
    body = {name: shown[name] for name in ("name", "tier", "region", "store")} | fields
    return await gateway.call("PUT", path, body, if_match=f'"{shown["version"]}"')


async def test_copies_that_would_exceed_the_quota_are_refused_before_they_are_made(
    platform: Platform, gateway: Gateway, stores: tuple[str, str]
) -> None:
    backups = [await completed(platform, gateway, stores) for _ in range(3)]
    assert (await replaced(gateway, stores[1], quota_bytes=700)).status_code == 200

    answers = [
        await gateway.call("POST", f"/backups/{one['id']}/archives", {"store_id": stores[1]})
        for one in backups
    ]

    assert [one.status_code for one in answers] == [202, 202, 409]
    assert answers[-1].json()["code"] == "store.no_room"
    assert "600 of 700 bytes" in answers[-1].json()["detail"]


async def test_a_store_moves_to_another_one_but_not_in_a_circle(
    gateway: Gateway, stores: tuple[str, str]
) -> None:
    hot, cold = stores
    rule = {"move_after_days": 30, "move_to_store_id": cold}

    halves = [await replaced(gateway, hot, **{name: value}) for name, value in rule.items()]
    nowhere = await replaced(gateway, hot, **rule | {"move_to_store_id": "nowhere"})
    itself = await replaced(gateway, hot, **rule | {"move_to_store_id": hot})
    good = await replaced(gateway, hot, **rule, tier="hot")
    circle = await replaced(gateway, cold, **rule | {"move_to_store_id": hot})
    version = (await gateway.call("GET", f"/stores/{cold}")).json()["version"]
    needed = await gateway.call("DELETE", f"/stores/{cold}", if_match=f'"{version}"')

    assert [one.status_code for one in (*halves, nowhere, itself, circle)] == [400] * 5
    assert good.json()["move_to_store_id"] == cold
    assert needed.status_code == 409


async def test_a_corrupt_backup_is_restored_from_its_copy(
    platform: Platform, gateway: Gateway, stores: tuple[str, str]
) -> None:
    backup = await completed(platform, gateway, stores)
    await gateway.call("POST", f"/backups/{backup['id']}/archives", {"store_id": stores[1]})
    (asked,) = await platform.bus.last_of("evt.archive.requested.>")
    request = asked.message
    assert isinstance(request, ArchiveRequested)
    problem = Problem(code="archive.changed", cause="other bytes", fix="")
    found = BackupCorrupted(backup_id=UUID(backup["id"]), problem=problem)
    await gateway.deps.read_model.at_least((await platform.bus.append(found)).seq)
    body = {
        "target": {**(await target(gateway)), "name": "again"},
        "reason": "the first store lost it",
    }
    path = f"/backups/{backup['id']}/restore"

    before = await gateway.call("POST", path, body)
    replicated = ArchiveReplicated(
        archive_id=request.archive_id,
        backup_id=request.backup_id,
        store_id=stores[1],
        prefix=f"{backup['id']}/1",
        stored_bytes=300,
        seconds=1.0,
    )
    landed = await platform.bus.append(replicated)
    await gateway.deps.read_model.at_least(landed.seq)
    named = await gateway.call("POST", path, {**body, "store_id": stores[0]})
    after = await gateway.call("POST", path, body)

    assert before.status_code == 409
    assert named.status_code == 409
    assert after.status_code == 202


async def target(gateway: Gateway) -> dict[str, Any]:
    (server,) = (await gateway.call("GET", "/servers")).json()["items"]
    return {"server_id": server["id"], "endpoint": "main"}


@pytest.mark.parametrize("good", [True, False], ids=["good", "damaged"])
async def test_a_verification_is_a_run_that_ends_as_storage_says(
    platform: Platform, gateway: Gateway, stores: tuple[str, str], good: bool
) -> None:
    backup = await completed(platform, gateway, stores)

    answer = await gateway.call("POST", f"/backups/{backup['id']}/verify")
    run_id = UUID(answer.json()["id"])
    (asked,) = await platform.bus.last_of("evt.backup.verify_requested.>")
    assert isinstance(asked.message, BackupVerifyRequested)
    about = {"backup_id": UUID(backup["id"]), "run_id": run_id}
    problem = Problem(code="archive.changed", cause="other bytes", fix="restore from a copy")
    said = (
        BackupVerified(**about, bytes_read=7, seconds=0.1)
        if good
        else BackupCorrupted(**about, problem=problem)
    )
    await platform.bus.append(said)

    async def run() -> dict[str, Any]:
        found = (await gateway.call("GET", f"/runs/{run_id}")).json()
        return found if found["status"] != "requested" else {}

    ended = await eventually(run)
    assert answer.status_code == 202
    assert ended["kind"] == "verify"
    assert ended["status"] == ("completed" if good else "failed")


async def test_a_test_of_a_store_answers_with_what_storage_found(
    platform: Platform, gateway: Gateway, stores: tuple[str, str]
) -> None:
    async def storage() -> None:
        async for delivery in platform.bus.follow(
            "EVENTS", after_seq=0, filters=("evt.store.test_requested.core.>",)
        ):
            asked = delivery.message
            assert isinstance(asked, StoreTestRequested)
            await platform.bus.append(
                StoreTested(
                    store_id=asked.store_id, run_id=asked.run_id, seconds=0.1, free_bytes=1 << 30
                )
            )

    answering = asyncio.create_task(storage())
    answer = await gateway.call("POST", f"/stores/{stores[0]}/test")
    answering.cancel()

    assert answer.status_code == 200
    assert answer.json() == {"ok": True, "seconds": 0.1, "free_bytes": 1 << 30, "problem": None}
    shown = await eventually(lambda: shown_after_its_test(gateway, stores[0]))
    assert shown["free_bytes"] == 1 << 30


async def shown_after_its_test(gateway: Gateway, store_id: str) -> dict[str, Any]:
    found: dict[str, Any] = (await gateway.call("GET", f"/stores/{store_id}")).json()
    return found if found.get("tested_at") else {}


async def test_the_past_of_a_store_holds_what_was_deleted_since(
    platform: Platform, gateway: Gateway, stores: tuple[str, str]
) -> None:
    today = datetime.now(UTC)
    old = await completed(platform, gateway, stores, 300, today - timedelta(days=20))
    await completed(platform, gateway, stores, 500, today - timedelta(days=15))
    about = {"backup_id": UUID(old["id"]), "at": today - timedelta(days=10)}
    landed = await platform.bus.append(BackupDeleted(**about, freed_bytes=300))
    await gateway.deps.read_model.at_least(landed.seq)

    usage = (await gateway.call("GET", f"/stores/{stores[0]}/usage")).json()

    held = [one["stored_bytes"] for one in usage["days"]]
    assert held == [300] * 5 + [800] * 5 + [500] * 11
    assert (usage["backups"], usage["stored_bytes"]) == (1, 500)


async def test_the_usage_of_a_store_is_told_by_database_and_by_day(
    platform: Platform, gateway: Gateway, stores: tuple[str, str]
) -> None:
    for size in (300, 500):
        await completed(platform, gateway, stores, size)

    usage = (await gateway.call("GET", f"/stores/{stores[0]}/usage")).json()
    empty = (await gateway.call("GET", f"/stores/{stores[1]}/usage")).json()

    assert (usage["backups"], usage["stored_bytes"]) == (2, 800)
    assert [(one["database_name"], one["stored_bytes"]) for one in usage["databases"]] == [
        ("shop", 800)
    ]
    assert usage["days"][-1]["stored_bytes"] == 800
    assert usage["full_on"] is None
    assert (empty["backups"], empty["days"]) == (0, [])
    assert (await gateway.call("GET", f"/stores/{uuid4()}/usage")).status_code == 404
