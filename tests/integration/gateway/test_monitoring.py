"""What the gateway tells of the whole installation."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from services.gateway.event_counts import EventCounts
from shared import trace
from shared.bus.base import EVENTS
from shared.messages.facts import BackupRequested
from tests.integration.gateway.platform import Gateway, Platform
from tests.integration.gateway.test_backups import completed
from tests.support.openmetrics import samples

CANARY = "canary-5b1f"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
async def wish(gateway: Gateway, tmp_path: Path) -> dict[str, Any]:
    """The body that asks for a backup of a registered server's database."""
    server = await gateway.add_server()
    store = await gateway.add_store(tmp_path)
    database = {"server_id": server["id"], "endpoint": "main", "name": "shop"}
    return {"database": database, "store_id": store["id"]}


async def scraped(gateway: Gateway, path: str = "/metrics") -> dict[str, float]:
    answer = await gateway.client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert CANARY not in answer.text
    return samples(answer.content)


async def test_a_scrape_tells_of_queue_backups_stores_and_the_log(
    gateway: Gateway, wish: dict[str, Any]
) -> None:
    done = (await gateway.call("POST", "/backups", wish)).json()
    await completed(gateway, done["id"])
    waiting = (await gateway.call("POST", "/backups", wish)).json()

    seen = await scraped(gateway)

    assert waiting["status"] == "requested"
    assert seen['holdfast_runs_open{kind="backup",pool="core",status="requested"}'] == 1
    assert seen["holdfast_databases"] == 1
    assert seen["holdfast_databases_without_backup"] == 0
    (age,) = [value for name, value in seen.items() if name.startswith("holdfast_backup_age_sec")]
    assert age >= 0
    (stored,) = [value for name, value in seen.items() if name.startswith("holdfast_store_bytes")]
    assert stored > 0
    assert seen['holdfast_events_total{type="backup.completed"}'] == 1
    assert seen['holdfast_events_total{type="backup.failed"}'] == 0
    assert seen["holdfast_projection_lag_events"] == 0
    assert seen['holdfast_servers{health="unknown"}'] == 1
    assert await scraped(gateway, "/api/v1/metrics")


async def test_a_projection_that_stands_still_is_seen_to(
    gateway: Gateway, platform: Platform
) -> None:
    platform.projecting.clear()
    answer = await gateway.call("POST", "/policies", {"name": "week", "keep_last": 7})

    assert answer.status_code == 202
    lag, seconds = await gateway.deps.monitoring.lag()
    assert lag >= 1
    assert seconds > 0
    platform.projecting.set()


async def test_metrics_are_for_whoever_may_read_them(gateway: Gateway) -> None:
    del gateway.client.headers["authorization"]

    assert (await gateway.client.get("/metrics")).status_code == 401


async def test_requests_are_counted_by_the_route_that_they_found_and_nothing_they_said(
    gateway: Gateway,
) -> None:
    for number in range(50):
        await gateway.call("GET", f"/servers/{UUID(int=number)}")
        await gateway.client.get(f"/{CANARY}/{number}?token={CANARY}")

    seen = await scraped(gateway)

    counted = {name: value for name, value in seen.items() if name.startswith("holdfast_http_req")}
    assert [name for name in counted if "server_id" in name and 'status="404"' in name]
    assert [name for name in counted if "(none)" in name]
    assert not [name for name in counted if str(UUID(int=1)) in name]


async def test_each_request_is_one_line_without_its_path_or_query(gateway: Gateway) -> None:
    """Abuse case 3: what a caller writes into an address reaches no log."""
    with capture_logs() as lines:
        await gateway.call("GET", f"/servers?name={CANARY}")
        await gateway.client.get(f"/{CANARY}")

    first, second = [line for line in lines if line["event"] == "request"]
    assert (first["method"], first["status"]) == ("GET", 400) or first["status"] == 200
    assert first["route"].startswith("/api/v1/servers")
    assert first["actor"]
    assert second["route"] == "(none)"
    assert CANARY not in str(lines)


async def test_a_request_and_what_it_causes_are_one_trace(
    gateway: Gateway, platform: Platform, wish: dict[str, Any]
) -> None:
    await gateway.call("POST", "/backups", wish, traceparent=TRACEPARENT)

    (said,) = [
        delivery
        for delivery in platform.server.stream(EVENTS).messages
        if isinstance(delivery.message, BackupRequested)
    ]
    assert said.headers[trace.HEADER][:36] == TRACEPARENT[:36]


async def test_an_objective_is_set_and_shows_how_databases_stand_to_it(
    gateway: Gateway, wish: dict[str, Any]
) -> None:
    await gateway.call("POST", "/backups", wish)
    made = await gateway.add("/objectives", {"name": "hourly", "rpo_s": 3600})
    met = (await gateway.call("GET", "/objectives/status")).json()["items"]
    seen = await scraped(gateway)

    assert [(one["database"], one["standing"]) for one in met] == [("shop", "met")]
    assert met[0]["objective_id"] == made["id"]
    assert seen['holdfast_objective_databases{objective="hourly",status="met"}'] == 1
    path, version = f"/objectives/{made['id']}", f'"{made["version"]}"'
    gone = await gateway.call("DELETE", path, if_match=version)
    assert gone.status_code == 204
    assert (await gateway.call("GET", "/objectives/status")).json()["items"] == []


async def test_standings_are_read_page_by_page_as_of_the_first_and_by_what_they_are(
    gateway: Gateway, wish: dict[str, Any]
) -> None:
    for name in ("one", "two", "three"):
        body = {**wish, "database": {**wish["database"], "name": name}}
        asked = (await gateway.call("POST", "/backups", body)).json()
        if name == "one":  # its time began before the objective was set, so it burns most
            await completed(gateway, asked["id"])
    made = await gateway.add("/objectives", {"name": "hourly", "rpo_s": 3600})
    path, met = "/objectives/status?limit=2", f"standing=met&objective_id={made['id']}"
    first = (await gateway.call("GET", f"{path}&{met}")).json()
    rest = (await gateway.call("GET", f"{path}&{met}&cursor={first['next_cursor']}")).json()
    turned = (await gateway.call("GET", f"{path}&sort=burn")).json()
    foreign = await gateway.call("GET", f"{path}&sort=burn&cursor={first['next_cursor']}")
    none = await gateway.call("GET", f"{path}&standing=missed")
    elsewhere = await gateway.call("GET", f"{path}&server_id={UUID(int=1)}")

    pages = [one["database"] for page in (first, rest) for one in page["items"]]
    assert sorted(pages) == ["one", "three", "two"]
    assert (len(first["items"]), rest["next_cursor"]) == (2, None)
    assert pages[0] == "one"
    assert "one" not in [one["database"] for one in turned["items"]]
    assert (foreign.status_code, foreign.json()["code"]) == (400, "input.invalid")
    assert none.json()["items"] == elsewhere.json()["items"] == []


async def test_the_installation_is_shown_at_a_glance_with_what_is_wrong(gateway: Gateway) -> None:
    await gateway.add_server()

    seen = (await gateway.call("GET", "/system")).json()

    assert seen["servers"]["unknown"] == 1
    assert seen["services"]["scheduler"] == 0
    assert "no scheduler is running" in seen["warnings"]
    assert {one["service"] for one in seen["replicas"]} <= {*seen["services"]}
    events = next(one for one in seen["streams"] if one["name"] == "EVENTS")
    assert events["messages"] + events["deleted"] == events["last_seq"] > 0
    assert {one["name"] for one in seen["streams"]} == {"EVENTS", "LOGS", "DLQ", "AUDIT_CKPT"}
    assert int(seen["versions"]["postgresql"].split(".")[0]) >= 16


async def test_events_are_counted_up_to_each_scrape_and_alike_by_every_replica(
    gateway: Gateway, wish: dict[str, Any]
) -> None:
    before = await scraped(gateway)
    made = (await gateway.call("POST", "/backups", wish)).json()
    await completed(gateway, made["id"])

    counted = await scraped(gateway)
    replica = await EventCounts(gateway.deps.read_model).family()

    name = 'holdfast_events_total{type="backup.completed"}'
    assert counted[name] == before[name] + 1
    (same,) = [one.value for one in replica.samples if one.labels == {"type": "backup.completed"}]
    assert same == counted[name]
