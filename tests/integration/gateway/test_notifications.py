"""Channels, rules, templates and deliveries through the API, with a notifier that does the work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from services.notifier.service import Notifier
from services.notifier.subscriptions import ReadModelSubscriptions
from shared.bus.memory import MemoryBus
from shared.keys.bucket import BusKeys
from shared.keys.vault import Vault
from shared.messages.facts import BackupFailed, BackupRequested
from shared.messages.values import DatabaseRef, Problem
from tests.integration.gateway.platform import Gateway, Platform
from tests.support.waiting import eventually
from tests.unit.notifier.receiver import SECRET, Receiver, SlackReceiver, receiving

CHANNELS, RULES = "/notifications/channels", "/notifications/rules"
TEMPLATES, DELIVERIES = "/notifications/templates", "/notifications/deliveries"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving(kind=SlackReceiver) as one:
        yield one


@pytest.fixture
async def notifier(gateway: Gateway, platform: Platform) -> AsyncIterator[None]:
    bus = MemoryBus(platform.server, source="notifier")
    vault = Vault(BusKeys(bus), [platform.settings.encryption_key])
    subscriptions = ReadModelSubscriptions(gateway.deps.read_model)
    working = asyncio.create_task(Notifier(bus, vault, subscriptions, allow_loopback=True).listen())
    yield
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


async def add_slack(gateway: Gateway, url: str, name: str = "team") -> dict[str, Any]:
    return await gateway.add(CHANNELS, {"name": name, "channel": {"kind": "slack", "url": url}})


def failing(server: dict[str, Any], name: str = "orders") -> tuple[BackupRequested, BackupFailed]:
    """A backup on the server that fails."""
    requested = BackupRequested(
        backup_id=uuid4(),
        run_id=uuid4(),
        database=DatabaseRef(server_id=server["id"], endpoint="main", name=name),
        store_id="s",
        run_pool="core",
    )
    failed = BackupFailed(
        backup_id=requested.backup_id,
        run_id=requested.run_id,
        attempt=1,
        problem=Problem(code="engine.unreachable", cause="nothing answers"),
    )
    return requested, failed


async def deliveries(gateway: Gateway, count: int, query: str = "") -> list[dict[str, Any]]:
    async def enough() -> list[dict[str, Any]]:
        items = (await gateway.call("GET", f"{DELIVERIES}{query}")).json()["items"]
        return items if len(items) >= count else []

    return await eventually(enough)


async def test_a_test_note_goes_through_the_channel_and_its_result_is_told(
    gateway: Gateway, notifier: None, receiver: Receiver
) -> None:
    channel = await add_slack(gateway, receiver.url)

    good = await gateway.call("POST", f"{CHANNELS}/{channel['id']}/test")
    receiver.answers = [(500, {})]
    bad = await gateway.call("POST", "/notifications/test", {"channel_id": channel["id"]})
    nobody = await gateway.call("POST", f"{CHANNELS}/{uuid4()}/test")

    assert good.status_code == 200, good.text
    assert good.json()["ok"] is True
    assert bad.json()["ok"] is False
    assert bad.json()["problem"]["code"] == "channel.not_accepted"
    assert "own words" not in bad.text
    assert nobody.status_code == 404
    shown = (await gateway.call("GET", f"{DELIVERIES}/{good.json()['delivery_id']}")).json()
    assert (shown["status"], shown["purpose"]) == ("sent", "test")


async def test_a_test_that_nobody_answers_in_time_is_accepted(
    gateway: Gateway, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.routes.deliveries.ANSWER_WITHIN_S", 0.1)
    channel = await add_slack(gateway, receiver.url)

    answer = await gateway.call("POST", f"{CHANNELS}/{channel['id']}/test")

    assert answer.status_code == 202
    shown = await gateway.client.get(answer.headers["location"])
    assert shown.json()["status"] == "requested"


async def test_a_rule_by_environment_and_template_tells_who_it_is_about(
    gateway: Gateway, platform: Platform, notifier: None, receiver: Receiver
) -> None:
    staging = await gateway.add_server(name="stage", environment="staging")
    shop = await gateway.add_server()
    channel = await add_slack(gateway, receiver.url)
    words = {"name": "short", "channel_kind": "slack", "body": "{{ database }} on {{ server }}!"}
    template = await gateway.add(TEMPLATES, words)
    rule = {
        "name": "production",
        "channel_id": channel["id"],
        "facts": ["backup.failed"],
        "environments": ["production"],
        "min_severity": "error",
        "template_id": template["id"],
        "quiet": None,
        "repeat_after_s": 60,
    }
    await gateway.add(RULES, rule)

    for server in (staging, shop, shop):
        for fact in failing(server):
            await platform.bus.append(fact)
    (sent,) = await deliveries(gateway, 1)

    assert receiver.texts == ["orders on shop!"]
    assert (sent["status"], sent["fact_type"], sent["purpose"]) == ("sent", "backup.failed", "fact")


async def test_a_delivery_is_told_again_once_for_each_key(
    gateway: Gateway, platform: Platform, notifier: None
) -> None:
    async with receiving() as receiver:
        hook = {"kind": "webhook", "url": receiver.url, "secret": SECRET}
        channel = await gateway.add(CHANNELS, {"name": "hook", "channel": hook})
        await gateway.add(
            RULES, {"name": "all", "channel_id": channel["id"], "facts": ["backup.failed"]}
        )
        for fact in failing(await gateway.add_server()):
            await platform.bus.append(fact)
        (first,) = await deliveries(gateway, 1)

        path = f"{DELIVERIES}/{first['id']}/redeliver"
        answers = [await gateway.call("POST", path, idempotency_key="again") for _ in range(2)]
        await eventually(lambda: len(receiver.heard) == 2)
        both = await deliveries(gateway, 2, f"?channel_id={channel['id']}&status=sent")

    assert [answer.status_code for answer in answers] == [202, 202]
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert receiver.ids == [first["id"]] * 2
    assert {one["redelivery_of"] for one in both} == {None, first["id"]}


async def test_a_test_note_cannot_be_redelivered(
    gateway: Gateway, notifier: None, receiver: Receiver
) -> None:
    channel = await add_slack(gateway, receiver.url)
    tested = (await gateway.call("POST", f"{CHANNELS}/{channel['id']}/test")).json()

    answer = await gateway.call("POST", f"{DELIVERIES}/{tested['delivery_id']}/redeliver")

    assert answer.status_code == 409
    assert answer.json()["code"] == "notification.not_repeatable"


async def test_a_channel_whose_receiver_is_gone_is_shown_as_disabled_until_it_is_replaced(
    gateway: Gateway, notifier: None, receiver: Receiver
) -> None:
    receiver.answers = [(410, {})]
    channel = await add_slack(gateway, receiver.url)
    path = f"{CHANNELS}/{channel['id']}"
    await gateway.call("POST", f"{path}/test")

    async def disabled() -> dict[str, Any] | None:
        shown: dict[str, Any] = (await gateway.call("GET", path)).json()
        return shown if shown["disabled_at"] else None

    shown = await eventually(disabled)
    body = {"name": "team", "channel": {"kind": "slack", "url": receiver.url}}
    again = await gateway.call("PUT", path, body, if_match=f'"{shown["version"]}"')

    assert shown["disabled_problem"]["code"] == "channel.gone"
    assert again.json()["disabled_at"] is None


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"quiet": {"begins": "22:00", "ends": "07:00", "time_zone": "Mars"}}, "/quiet/time_zone"),
        ({"quiet": {"begins": "22:00", "ends": "22:00"}}, "/quiet/ends"),
        ({"digest": {"every": "day", "at": "25:00"}}, "/digest/at"),
        ({"group_ids": ["nobody"]}, "/group_ids/0"),
        ({"template_id": "nothing"}, "/template_id"),
        ({"channel_id": "nothing"}, "/channel_id"),
        ({"min_severity": "loud"}, "/min_severity"),
        ({"surprise": 1}, ""),
    ],
)
async def test_a_rule_that_cannot_work_is_refused(
    gateway: Gateway, receiver: Receiver, change: dict[str, Any], pointer: str
) -> None:
    channel = await add_slack(gateway, receiver.url)
    body = {"name": "r", "channel_id": channel["id"], "facts": ["backup.*"], **change}

    answer = await gateway.call("POST", RULES, body)

    assert answer.status_code == 400
    assert pointer in [fault["pointer"] for fault in answer.json()["errors"]] or not pointer


async def test_a_template_of_another_kind_is_refused(gateway: Gateway, receiver: Receiver) -> None:
    channel = await add_slack(gateway, receiver.url)
    template = await gateway.add(TEMPLATES, {"name": "t", "channel_kind": "email", "body": "x"})
    body = {"name": "r", "channel_id": channel["id"], "facts": ["backup.*"]}

    answer = await gateway.call("POST", RULES, {**body, "template_id": template["id"]})

    assert answer.json()["errors"][0]["pointer"] == "/template_id"


async def test_a_template_is_tried_before_it_is_saved_and_a_bad_one_is_not_saved(
    gateway: Gateway,
) -> None:
    path = f"{TEMPLATES}/preview"
    body = "{% for one in notes %}{{ one.severity }} {{ one.database }};{% endfor %}"

    digest = await gateway.call("POST", path, {"title": "{{ text }}", "body": body, "of": "digest"})
    bad = await gateway.call("POST", path, {"body": "{{ range(9) }}"})
    saved = await gateway.call(
        "POST", TEMPLATES, {"name": "t", "channel_kind": "slack", "body": "{{ 2 ** 9 }}"}
    )

    assert digest.json()["body"] == "error orders;error orders;"
    assert digest.json()["title"] == "Holdfast: 2 notes that waited"
    for answer in (bad, saved):
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["pointer"] == "/body"


async def test_payloads_come_back_as_they_were_sent_and_are_no_html(gateway: Gateway) -> None:
    """Abuse case 25: the API stores and returns text verbatim, always as JSON."""
    payload = "<script>alert(1)</script> & \u202e"
    body = {"name": payload, "channel_kind": "slack", "body": payload}

    made = await gateway.add(TEMPLATES, body)
    shown = await gateway.call("GET", f"{TEMPLATES}/{made['id']}")
    preview = await gateway.call("POST", f"{TEMPLATES}/preview", {"body": payload})

    assert (shown.json()["name"], shown.json()["body"]) == (payload, payload)
    assert preview.json()["body"] == payload
    for answer in (shown, preview):
        assert answer.headers["content-type"].startswith("application/json")
        assert answer.headers["x-content-type-options"] == "nosniff"
