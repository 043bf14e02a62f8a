"""Holds through the API: who may lay and lift them, and what they keep."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.messages.facts import (
    ArchiveReplicated,
    ArchiveRequested,
    BackupDeleted,
    BackupDeleteRequested,
    BackupExpired,
)
from shared.messages.facts.archives import archive_id
from shared.messages.values import Role
from tests.integration.gateway.platform import Gateway, Platform
from tests.integration.gateway.test_accounts import sign_in_as
from tests.integration.gateway.test_backups import (
    completed,
    projected,
    wish,  # noqa: F401 - a fixture
)

WHY = {"reason": "case 7"}
LEGAL = {**WHY, "kind": "legal"}


@pytest.fixture
async def path(gateway: Gateway, wish: dict[str, Any]) -> str:  # noqa: F811
    """Where a completed backup is found."""
    backup = (await gateway.call("POST", "/backups", wish)).json()
    await completed(gateway, backup["id"])
    return f"/backups/{backup['id']}"


async def test_a_held_backup_cannot_be_deleted_until_it_is_released(
    gateway: Gateway, path: str
) -> None:
    held = await gateway.call("POST", f"{path}/hold", WHY)
    refused = await gateway.call("DELETE", path)
    released = await gateway.call("POST", f"{path}/release", WHY)
    accepted = await gateway.call("DELETE", path)

    assert held.status_code == 200
    assert [(one["kind"], one["reason"]) for one in held.json()["holds"]] == [("hold", "case 7")]
    assert held.headers["etag"] == f'"{held.json()["version"]}"'
    assert (refused.status_code, refused.json()["code"]) == (409, "backup.held")
    assert released.json()["holds"] == []
    assert accepted.status_code == 202


async def test_a_hold_of_each_kind_can_lie_on_a_backup_and_a_second_replaces_its_first(
    gateway: Gateway, path: str
) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    await gateway.call("POST", f"{path}/hold", WHY)
    await gateway.call("POST", f"{path}/hold", LEGAL)
    ending = {**WHY, "until": tomorrow.isoformat()}
    held = (await gateway.call("POST", f"{path}/hold", ending)).json()
    released = await gateway.call("POST", f"{path}/release", WHY)
    refused = await gateway.call("DELETE", path)

    assert sorted(one["kind"] for one in held["holds"]) == ["hold", "legal"]
    assert [one["kind"] for one in released.json()["holds"]] == ["legal"]
    assert refused.status_code == 409


async def test_only_who_has_the_right_lays_or_lifts_a_legal_hold(
    gateway: Gateway, path: str
) -> None:
    await gateway.call("POST", f"{path}/hold", LEGAL)
    await sign_in_as(gateway, Role.OPERATOR)

    own = await gateway.call("POST", f"{path}/hold", WHY)
    others = [await gateway.call("POST", f"{path}/{verb}", LEGAL) for verb in ("hold", "release")]
    await sign_in_as(gateway, Role.VIEWER)
    viewer = await gateway.call("POST", f"{path}/release", WHY)

    assert own.status_code == 200
    assert {one.status_code for one in (*others, viewer)} == {403}


async def test_a_hold_that_is_over_or_has_no_time_zone_is_refused(
    gateway: Gateway, path: str
) -> None:
    past = {**WHY, "until": "2020-01-01T00:00:00Z"}
    for body in (past, {**WHY, "until": "2099-01-01T00:00:00"}, {}, {"reason": ""}):
        answer = await gateway.call("POST", f"{path}/hold", body)
        assert (answer.status_code, answer.json()["code"]) == (400, "input.invalid")


async def test_what_is_not_held_cannot_be_released(gateway: Gateway, path: str) -> None:
    answer = await gateway.call("POST", f"{path}/release", LEGAL)

    assert (answer.status_code, answer.json()["code"]) == (409, "backup.not_held")


async def test_a_backup_that_is_not_finished_or_on_its_way_out_cannot_be_held(
    gateway: Gateway,
    wish: dict[str, Any],  # noqa: F811
    path: str,
) -> None:
    unfinished = (await gateway.call("POST", "/backups", wish)).json()
    early = await gateway.call("POST", f"/backups/{unfinished['id']}/hold", WHY)
    await gateway.call("DELETE", path)
    late = await gateway.call("POST", f"{path}/hold", WHY)

    assert (early.status_code, early.json()["code"]) == (409, "backup.running")
    assert (late.status_code, late.json()["code"]) == (409, "backup.not_holdable")


async def test_a_backup_that_stands_only_in_a_further_store_can_be_held_there(
    gateway: Gateway, path: str
) -> None:
    backup_id = UUID(path.removeprefix("/backups/"))
    copy: dict[str, Any] = {"archive_id": archive_id(backup_id, "s2"), "backup_id": backup_id}
    copy["store_id"] = "s2"
    await projected(gateway, ArchiveRequested(**copy))
    await projected(gateway, BackupExpired(backup_id=backup_id, reason="policy"))
    await projected(gateway, BackupDeleted(backup_id=backup_id, freed_bytes=1))

    early = await gateway.call("POST", f"{path}/hold", WHY)
    await projected(gateway, ArchiveReplicated(**copy, prefix="p", stored_bytes=1, seconds=1.0))
    held = await gateway.call("POST", f"{path}/hold", WHY)

    assert early.json()["code"] == "backup.not_holdable"
    assert held.status_code == 200


async def test_a_hold_and_a_deletion_at_once_never_both_land(
    gateway: Gateway, platform: Platform, path: str
) -> None:
    backup_id = path.removeprefix("/backups/")
    hold, deletion = await asyncio.gather(
        gateway.call("POST", f"{path}/hold", WHY), gateway.call("DELETE", path)
    )

    assert sorted([hold.is_success, deletion.is_success]) == [False, True]
    said = [one.message for one in await platform.bus.last_of(f"evt.backup.*.*.{backup_id}")]
    wanted = any(isinstance(one, BackupDeleteRequested) for one in said)
    assert wanted == deletion.is_success
