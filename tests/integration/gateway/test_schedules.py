"""Schedules and blackouts over the API: saved, foretold, warned of, run."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from shared.bus.base import EVENTS
from shared.messages.facts import BackupRequested, ServerDiscovered
from shared.messages.values import BackupType, DatabaseRef, FoundDatabase, Grant, Role
from tests.integration.gateway.platform import SERVER, Gateway, Platform
from tests.integration.gateway.test_accounts import sign_in_as
from tests.support.waiting import eventually


class Site:
    """A server with two databases, a store, and what a schedule for them looks like."""

    def __init__(self, gateway: Gateway, server_id: str, store_id: str) -> None:
        self.gateway, self.store_id = gateway, store_id
        self.ids = [
            str(DatabaseRef(server_id=UUID(server_id), endpoint="main", name=name).id)
            for name in ("shop", "blog")
        ]

    def body(self, **changes: Any) -> dict[str, Any]:
        return {
            "name": "nightly",
            "cron": "30 2 * * *",
            "time_zone": "Europe/Berlin",
            "database_ids": self.ids,
            "targets": [{"store_id": self.store_id}],
        } | changes


@pytest.fixture
async def site(platform: Platform, gateway: Gateway, tmp_path: Path) -> Site:
    server = await gateway.add_server(run_limit=1)
    store = await gateway.add_store(tmp_path / "cellar")
    found = [FoundDatabase(endpoint="main", name=name) for name in ("shop", "blog")]
    said = ServerDiscovered(server_id=UUID(server["id"]), run_id=uuid4(), databases=found)
    await platform.bus.append(said)

    async def known() -> bool:
        listed = (await gateway.call("GET", "/databases")).json()["items"]
        return len(listed) == 2

    await eventually(known)
    return Site(gateway, server["id"], store["id"])


def requests(platform: Platform) -> list[BackupRequested]:
    stored = [one.message for one in platform.bus.server.stream(EVENTS).messages]
    return [one for one in stored if isinstance(one, BackupRequested)]


async def test_checks_and_the_time_of_restore_tests_are_kept_and_bad_ones_refused(
    site: Site,
) -> None:
    check = {"name": "orders", "query": "select count(*) from orders", "at_least": 5.0}
    made = await site.gateway.add("/schedules", site.body(test_restore="0 5 * * *", checks=[check]))
    assert made["test_restore"] == "0 5 * * *"
    assert made["checks"] == [check]

    both = {**check, "expected": "5"}
    for changed, pointer in (
        ({"test_restore": "at night"}, "/test_restore"),
        ({"checks": [both]}, "/checks/0"),
        ({"checks": [check, check]}, "/checks"),
        ({"checks": [{**check, "query": "select\0"}]}, "/checks/0/query"),
    ):
        refused = await site.gateway.call("POST", "/schedules", site.body(name="x", **changed))
        assert refused.status_code == 400, refused.text
        assert pointer in refused.text


async def test_a_schedule_is_saved_changed_paused_resumed_and_deleted(site: Site) -> None:
    call = site.gateway.call
    made = await site.gateway.add("/schedules", site.body())
    where = f"/schedules/{made['id']}"
    assert (made["paused"], made["missed"]) == (False, "run_once")

    paused = await call("POST", f"{where}/pause")
    assert paused.json()["paused"] is True
    resumed = await call("POST", f"{where}/resume")
    assert resumed.json()["paused"] is False
    assert (await call("PUT", where, site.body(cron="0 4 * * *"))).status_code == 428
    changed = await call(
        "PUT", where, site.body(cron="0 4 * * *"), if_match=resumed.headers["etag"]
    )
    assert changed.json()["cron"] == "0 4 * * *"
    listed = (await call("GET", "/schedules")).json()["items"]
    assert [one["name"] for one in listed] == ["nightly"]
    assert (await call("DELETE", where, if_match=changed.headers["etag"])).status_code == 204
    assert (await call("GET", where)).status_code == 404


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"cron": "61 2 * * *"}, "/cron"),
        ({"cron": "0 0 30 2 *"}, "/cron"),
        ({"time_zone": "Mars/Olympus"}, "/time_zone"),
        ({"database_ids": []}, "/database_ids"),
        ({"database_ids": [str(uuid4())]}, "/database_ids"),
        ({"targets": [{"store_id": "none"}]}, "/targets"),
        ({"group_ids": ["none"]}, "/group_ids"),
        ({"blackout_ids": ["none"]}, "/blackout_ids"),
        ({"cron": "0,30 * * * *", "jitter_s": 1800}, "/jitter_s"),
        ({"surprise": 1}, ""),
    ],
)
async def test_what_cannot_be_used_is_refused_by_its_field(
    site: Site, changes: dict[str, Any], pointer: str
) -> None:
    for path in ("/schedules", "/schedules/preview"):
        answer = await site.gateway.call("POST", path, site.body(**changes))

        assert answer.status_code in {400, 422}, answer.text
        assert pointer in answer.text


async def test_a_preview_shows_local_and_utc_times_and_what_a_policy_would_keep(site: Site) -> None:
    policy = await site.gateway.add("/policies", {"name": "short", "keep_last": 3})
    target = {"store_id": site.store_id, "policy_id": policy["id"]}

    foretold = await site.gateway.call("POST", "/schedules/preview", site.body(targets=[target]))

    shown = foretold.json()
    assert foretold.status_code == 200, foretold.text
    assert shown["databases"] == 2
    first = shown["next_runs"][0]
    assert "T02:30:00+0" in first["local"] or "T03:00:00+02:00" in first["local"]
    assert first["utc"].endswith("Z")
    assert len(shown["next_runs"]) == 10
    (kept,) = shown["retention"]
    assert (kept["slots"], len(kept["kept"])) == (400, 3)


async def test_conflicts_are_told_before_saving_and_with_the_answer(site: Site) -> None:
    blackout = await site.gateway.add(
        "/blackouts", {"name": "noon", "cron": "0 12 * * *", "minutes": 60}
    )
    await site.gateway.add("/schedules", site.body(name="first", cron="0 12 * * *"))
    body = site.body(cron="1 12 * * *", time_zone="Europe/Berlin", database_ids=site.ids[:1])
    closing = {"blackout_ids": [blackout["id"]], "time_zone": "UTC"}

    beside = (await site.gateway.call("POST", "/schedules/preview", body)).json()["warnings"]
    saved = await site.gateway.add(
        "/schedules", site.body(name="closed", cron="5 12 * * *") | closing
    )

    assert {one["code"] for one in beside} == {"overlap", "server_busy"}
    assert {one["code"] for one in saved["warnings"]} == {"blackout", "server_busy"}


async def test_schedules_that_choose_by_group_or_tag_are_in_the_way_of_what_they_reach(
    site: Site,
) -> None:
    call = site.gateway.call
    group = await site.gateway.add("/server-groups", {"name": "web"})
    server = (await call("GET", "/servers")).json()["items"][0]
    body = {**SERVER, "run_limit": 1, "group_ids": [group["id"]]}
    moved = await call("PUT", f"/servers/{server['id']}", body, if_match=f'"{server["version"]}"')
    assert moved.status_code == 200, moved.text
    blog = (await call("GET", f"/databases/{site.ids[1]}")).json()
    tagged = await call(
        "PUT", f"/databases/{blog['id']}", {"tags": ["gold"]}, if_match=f'"{blog["version"]}"'
    )
    assert tagged.status_code == 200, tagged.text
    nothing = {"database_ids": []}
    await site.gateway.add(
        "/schedules", site.body(name="by group", group_ids=[group["id"]]) | nothing
    )
    await site.gateway.add("/schedules", site.body(name="by tag", tags=["gold"]) | nothing)
    await site.gateway.add("/schedules", site.body(name="at noon", cron="0 12 * * *"))
    paused = site.body(name="paused", group_ids=[group["id"]], paused=True)
    await site.gateway.add("/schedules", paused)

    body = site.body(name="mine", cron="31 2 * * *", database_ids=site.ids[1:])
    foretold = (await call("POST", "/schedules/preview", body)).json()["warnings"]
    made = await site.gateway.add("/schedules", body)
    shown = (await call("GET", f"/schedules/{made['id']}")).json()["warnings"]
    still = await call("POST", f"/schedules/{made['id']}/pause")

    overlaps = [one for one in foretold if one["code"] == "overlap"]
    assert sorted(name for one in overlaps for name in one["schedules"]) == ["by group", "by tag"]
    assert {one["about"] for one in overlaps} == {site.ids[1]}
    (busy,) = [one for one in foretold if one["code"] == "server_busy"]
    assert (busy["about"], busy["schedules"]) == (server["id"], ["by group", "by tag"])
    assert busy["times"] == 10
    assert made["warnings"] == shown == foretold
    assert still.json()["warnings"] == []


async def test_more_backups_at_once_than_a_pool_works_on_are_told_of_across_servers(
    site: Site, platform: Platform
) -> None:
    ids = []
    for number in range(5):
        server = await site.gateway.add_server(name=f"s{number}")
        said = ServerDiscovered(
            server_id=UUID(server["id"]),
            run_id=uuid4(),
            databases=[FoundDatabase(endpoint="main", name="db")],
        )
        await platform.bus.append(said)
        place = DatabaseRef(server_id=UUID(server["id"]), endpoint="main", name="db")
        ids.append(str(place.id))

    async def known() -> bool:
        listed = (await site.gateway.call("GET", "/databases")).json()["items"]
        return len(listed) == 7

    await eventually(known)
    await site.gateway.add("/schedules", site.body(name="three", database_ids=ids[:3]))
    two = site.body(name="two", database_ids=ids[3:])

    beside = (await site.gateway.call("POST", "/schedules/preview", two)).json()["warnings"]
    apart = site.body(name="two", cron="0 4 * * *", database_ids=ids[3:])
    alone = (await site.gateway.call("POST", "/schedules/preview", apart)).json()["warnings"]

    assert [(one["code"], one["about"], one["schedules"]) for one in beside] == [
        ("pool_busy", "core", ["three"])
    ]
    assert alone == []


async def test_what_is_not_in_the_callers_scope_is_no_name_in_a_warning(
    site: Site, platform: Platform
) -> None:
    await site.gateway.add("/schedules", site.body(name="secret plan", tags=["any"]))
    await sign_in_as(
        site.gateway, Role.OPERATOR, Grant(role=Role.OPERATOR, environments=["production"])
    )
    body = site.body(name="mine", database_ids=site.ids[:1])

    answer = await site.gateway.call("POST", "/schedules/preview", body)

    assert answer.status_code == 200, answer.text
    assert "secret plan" not in answer.text
    (overlap,) = [one for one in answer.json()["warnings"] if one["code"] == "overlap"]
    assert overlap["schedules"] == ["another schedule"]


async def test_a_blackout_that_a_schedule_names_is_not_deleted(site: Site) -> None:
    call = site.gateway.call
    blackout = await site.gateway.add(
        "/blackouts", {"name": "noon", "cron": "0 12 * * *", "minutes": 60}
    )
    made = await site.gateway.add("/schedules", site.body(blackout_ids=[blackout["id"]]))
    where = f"/blackouts/{blackout['id']}"

    assert (await call("DELETE", where, if_match=f'"{blackout["version"]}"')).status_code == 409
    gone = await call("DELETE", f"/schedules/{made['id']}", if_match=f'"{made["version"]}"')
    assert gone.status_code == 204
    assert (await call("DELETE", where, if_match=f'"{blackout["version"]}"')).status_code == 204


async def test_running_a_schedule_asks_for_each_database_once_per_key(
    platform: Platform, site: Site
) -> None:
    made = await site.gateway.add("/schedules", site.body())
    path = f"/schedules/{made['id']}/run"

    answers = [await site.gateway.call("POST", path, idempotency_key="again") for _ in range(2)]

    assert [one.status_code for one in answers] == [202, 202]
    asked = requests(platform)
    assert sorted(str(one.database.id) for one in asked) == sorted(site.ids)
    assert {one.schedule_id for one in asked} == {made["id"]}
    assert {one.slot for one in asked} == {None}


async def test_running_a_schedule_backs_up_as_it_would_at_its_slots(
    platform: Platform, site: Site
) -> None:
    made = await site.gateway.add(
        "/schedules", site.body(type="incremental", chain_limit=5, codec="lz4")
    )

    await site.gateway.call("POST", f"/schedules/{made['id']}/run")

    asked = {(one.type_wanted, one.chain_limit, one.codec) for one in requests(platform)}
    assert asked == {(BackupType.INCREMENTAL, 5, "lz4")}


async def test_a_store_that_a_schedule_puts_backups_into_is_not_deleted(
    site: Site, tmp_path: Path
) -> None:
    further = await site.gateway.add_store(tmp_path / "further")
    targets = [{"store_id": site.store_id}, {"store_id": further["id"]}]
    made = await site.gateway.add("/schedules", site.body(targets=targets))
    where, version = f"/stores/{further['id']}", f'"{further["version"]}"'

    refused = await site.gateway.call("DELETE", where, if_match=version)
    await site.gateway.call("DELETE", f"/schedules/{made['id']}", if_match=f'"{made["version"]}"')
    gone = await site.gateway.call("DELETE", where, if_match=version)

    assert (refused.status_code, refused.json()["code"]) == (409, "in_use")
    assert "nightly" in refused.text
    assert gone.status_code == 204
