"""Policies and their dry runs through the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from shared.messages.facts import ArchiveReplicated, ArchiveRequested, BackupVerified
from shared.messages.facts.archives import archive_id
from shared.messages.settings import ScheduleSetting
from shared.messages.settings.schedules import ScheduleTarget
from shared.messages.values import Grant, Role
from tests.integration.gateway.platform import Gateway, Platform
from tests.integration.gateway.test_accounts import sign_in_as
from tests.integration.gateway.test_backups import (
    completed,
    projected,
    wish,  # noqa: F401 - a fixture
)

FULL = {
    "name": "grandfather",
    "keep_last": 3,
    "keep_days": 14,
    "keep_daily": 7,
    "keep_weekly": 4,
    "keep_monthly": 12,
    "keep_yearly": 2,
    "min_age_s": 3600,
}


class Shelf:
    """Three verified backups of one database, the oldest first."""

    def __init__(self, database_id: str, backups: list[str]) -> None:
        self.database_id, self.backups = database_id, backups


@pytest.fixture
async def shelf(gateway: Gateway, wish: dict[str, Any]) -> Shelf:  # noqa: F811
    return await stored(gateway, wish)


async def stored(gateway: Gateway, body: dict[str, Any], count: int = 3) -> Shelf:
    made = []
    for _ in range(count):
        backup = (await gateway.call("POST", "/backups", body)).json()
        await completed(gateway, backup["id"])
        await projected(
            gateway, BackupVerified(backup_id=UUID(backup["id"]), bytes_read=1, seconds=0.1)
        )
        made.append(backup["id"])
    return Shelf(backup["database_id"], made)


async def test_a_policy_has_every_rule_and_can_be_changed(gateway: Gateway) -> None:
    made = await gateway.add("/policies", FULL)
    path, version = f"/policies/{made['id']}", f'"{made["version"]}"'
    less = {"name": "grandfather", "keep_days": 1}
    changed = await gateway.call("PUT", path, less, if_match=version)

    assert {name: made[name] for name in FULL} == FULL
    assert (changed.status_code, changed.json()["keep_days"]) == (200, 1)
    assert changed.json()["keep_last"] == changed.json()["min_age_s"] == 0


@pytest.mark.parametrize(
    "rules", [{}, {"min_age_s": 5}, {"keep_last": -1}, {"keep_days": 40_000}, {"keep_hourly": 3}]
)
async def test_a_policy_that_keeps_nothing_or_cannot_be_right_is_refused(
    gateway: Gateway, rules: dict[str, int]
) -> None:
    answer = await gateway.call("POST", "/policies", {"name": "odd", **rules})

    assert (answer.status_code, answer.json()["code"]) == (400, "input.invalid")


async def test_a_policy_that_a_schedule_names_is_in_use(gateway: Gateway) -> None:
    made = await gateway.add("/policies", FULL)
    await projected(gateway, nightly(made["id"]))

    path, version = f"/policies/{made['id']}", f'"{made["version"]}"'
    answer = await gateway.call("DELETE", path, if_match=version)
    assert (answer.status_code, answer.json()["code"]) == (409, "in_use")


async def test_a_dry_run_tells_of_each_backup_what_would_become_of_it_and_why(
    gateway: Gateway, shelf: Shelf
) -> None:
    body = {"rules": {"keep_last": 1}, "database_ids": [shelf.database_id]}
    answer = await gateway.call("POST", "/policies/preview", body)

    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert [one["backup_id"] for one in told["items"]] == shelf.backups[::-1]
    assert [one["keep"] for one in told["items"]] == [True, False, False]
    codes = {reason["code"] for reason in told["items"][0]["reasons"]}
    assert codes == {"last", "last_good", "last_verified"}
    assert told["items"][2]["reasons"][0]["code"] == "outlived"
    assert told["databases"] == [
        {"database_id": shelf.database_id, "kept": 1, "expiring": 2},
    ]


async def test_a_dry_run_changes_nothing(
    gateway: Gateway, platform: Platform, shelf: Shelf
) -> None:
    before = (await platform.bus.state("EVENTS")).last_seq
    body = {"rules": {"keep_last": 1}, "database_ids": [shelf.database_id]}
    await gateway.call("POST", "/policies/preview", body)

    assert (await platform.bus.state("EVENTS")).last_seq == before


async def test_a_dry_run_is_read_page_by_page_over_databases_and_stores(
    gateway: Gateway,
    wish: dict[str, Any],  # noqa: F811
    shelf: Shelf,
) -> None:
    wish["database"]["name"] = "second"
    other = await stored(gateway, wish, 2)
    copy = UUID(shelf.backups[0])
    about: dict[str, Any] = {"archive_id": archive_id(copy, "s2"), "backup_id": copy}
    about["store_id"] = "s2"
    await projected(gateway, ArchiveRequested(**about))
    await projected(gateway, ArchiveReplicated(**about, prefix="p", stored_bytes=1, seconds=1.0))
    body = {
        "rules": {"keep_last": 1},
        "database_ids": [shelf.database_id, other.database_id],
    }

    whole = (await gateway.call("POST", "/policies/preview", body)).json()["items"]
    for size in (1, 2, 3):
        assert await paged(gateway, body, f"limit={size}") == whole
    assert len(whole) == 6
    assert [one for one in whole if not one["keep"]] == await paged(
        gateway, body, "limit=1&expiring=true"
    )


async def test_a_draft_that_replaces_a_policy_judges_what_that_one_applies_to(
    gateway: Gateway, shelf: Shelf
) -> None:
    made = await gateway.add("/policies", FULL)
    body = {
        "rules": {"keep_last": 1},
        "database_ids": [shelf.database_id],
        "replaces": made["id"],
    }
    nothing = (await gateway.call("POST", "/policies/preview", body)).json()
    await choose(gateway, shelf, made["id"])
    everything = (await gateway.call("POST", "/policies/preview", body)).json()

    assert nothing["items"] == []
    assert [one["keep"] for one in everything["items"]] == [True, False, False]


async def test_a_policys_own_preview_shows_the_backups_that_it_applies_to(
    gateway: Gateway, shelf: Shelf
) -> None:
    used = await gateway.add("/policies", {"name": "used", "keep_last": 1, "min_age_s": 60})
    unused = await gateway.add("/policies", {"name": "unused", "keep_last": 1})
    await choose(gateway, shelf, used["id"])

    first = (await gateway.call("GET", f"/policies/{used['id']}/preview?limit=2")).json()
    cursor = first["next_cursor"]
    second = (
        await gateway.call("GET", f"/policies/{used['id']}/preview?limit=2&cursor={cursor}")
    ).json()
    none = (await gateway.call("GET", f"/policies/{unused['id']}/preview")).json()

    shown = [*first["items"], *second["items"]]
    assert [one["backup_id"] for one in shown] == shelf.backups[::-1]
    assert {one["policy_id"] for one in shown} == {used["id"]}
    assert shown[-1]["reasons"][0]["code"] == "min_age"
    assert second["next_cursor"] is None
    assert none == {"items": [], "databases": [], "next_cursor": None}


async def test_a_preview_shows_nothing_outside_of_the_callers_scope(
    gateway: Gateway, shelf: Shelf
) -> None:
    made = await gateway.add("/policies", FULL)
    await choose(gateway, shelf, made["id"])
    await sign_in_as(gateway, Role.OPERATOR, Grant(role=Role.OPERATOR, environments=["staging"]))

    own = await gateway.call("GET", f"/policies/{made['id']}/preview")
    body = {"rules": {"keep_last": 1}, "database_ids": [shelf.database_id]}
    chosen = await gateway.call("POST", "/policies/preview", body)

    assert own.json()["items"] == []
    assert chosen.status_code == 400


async def test_a_cursor_of_another_list_is_refused(gateway: Gateway, tmp_path: Path) -> None:
    made = await gateway.add("/policies", FULL)
    await gateway.add("/policies", {**FULL, "name": "other"})
    foreign = (await gateway.call("GET", "/policies?limit=1")).json()["next_cursor"]

    answer = await gateway.call("GET", f"/policies/{made['id']}/preview?cursor={foreign}")
    assert (answer.status_code, answer.json()["code"]) == (400, "input.invalid")


async def paged(gateway: Gateway, body: dict[str, Any], query: str) -> list[Any]:
    """All items, page by page."""
    items: list[Any] = []
    cursor = ""
    while True:
        path = f"/policies/preview?{query}{cursor}"
        page = (await gateway.call("POST", path, body)).json()
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = f"&cursor={page['next_cursor']}"


async def choose(gateway: Gateway, shelf: Shelf, policy_id: str) -> None:
    path = f"/databases/{shelf.database_id}"
    version = (await gateway.call("GET", path)).headers["etag"]
    answer = await gateway.call("PUT", path, {"policy_id": policy_id}, if_match=version)
    assert answer.status_code == 200, answer.text


def nightly(policy_id: str) -> ScheduleSetting:
    target = ScheduleTarget(store_id="s1", policy_id=policy_id)
    return ScheduleSetting(key="nightly", name="nightly", cron="0 2 * * *", targets=[target])
