"""The store and the channels that the environment describes at the first start."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from services.gateway.defaults import make_defaults
from services.gateway.settings import Defaults
from shared.bus.memory import MemoryBus, MemoryServer
from shared.keys.plugins import open_config
from shared.messages.settings import StoreSetting
from tests.integration.gateway.platform import Gateway, Platform, announce_all

GIVEN = Defaults(
    s3_endpoint="https://minio.example.com",
    s3_access_key="backup",
    s3_secret_key="canary-71aa",
    s3_bucket="archives",
)


async def the_store(gateway: Gateway) -> dict[str, object]:
    (store,) = (await gateway.call("GET", "/stores")).json()["items"]
    return dict(store)


async def test_a_first_start_makes_the_store_once_and_seals_its_secret(
    gateway: Gateway, platform: Platform
) -> None:
    await asyncio.gather(*(make_defaults(gateway.deps, GIVEN) for _ in range(3)))
    await make_defaults(gateway.deps, GIVEN)

    store = await the_store(gateway)
    assert (store["name"], store["store"]["bucket"]) == ("default", "archives")  # type: ignore[index]
    assert "canary" not in str(store)
    (stored,) = await platform.bus.last_of("cfg.store.*")
    assert b"canary-71aa" not in stored.data
    assert isinstance(stored.message, StoreSetting)
    opened = await open_config(gateway.deps.vault, stored.subject, "store", stored.message.store)
    assert opened["secret_access_key"] == "canary-71aa"
    assert len(await platform.bus.kv("keys").keys("secret-")) == 1


async def test_what_people_made_of_the_store_is_never_overwritten(gateway: Gateway) -> None:
    await make_defaults(gateway.deps, GIVEN)
    store = await the_store(gateway)
    body = {"name": "cellar", "store": {**store["store"], "secret_access_key": "mine"}}  # type: ignore[dict-item]
    changed = await gateway.call(
        "PUT", f"/stores/{store['id']}", body, if_match=f'"{store["version"]}"'
    )
    assert changed.status_code == 200, changed.text

    await make_defaults(gateway.deps, msgspec.structs.replace(GIVEN, s3_bucket="elsewhere"))

    assert await the_store(gateway) == changed.json()


async def test_a_deleted_first_store_stays_deleted(gateway: Gateway) -> None:
    await make_defaults(gateway.deps, GIVEN)
    store = await the_store(gateway)
    await gateway.call("DELETE", f"/stores/{store['id']}", if_match=f'"{store["version"]}"')

    await make_defaults(gateway.deps, GIVEN)

    assert (await gateway.call("GET", "/stores")).json()["items"] == []


async def test_a_name_that_is_taken_is_left_to_its_holder(gateway: Gateway, tmp_path: Path) -> None:
    body = {"name": "default", "store": {"kind": "local", "root": str(tmp_path)}}
    made = await gateway.add("/stores", body)

    await make_defaults(gateway.deps, GIVEN)

    assert await the_store(gateway) == made
    assert await gateway.deps.bus.kv("keys").keys("secret-") == []


async def test_it_waits_for_the_service_that_knows_stores(platform: Platform) -> None:
    silent = MemoryServer()
    async with platform.gateway() as gateway:
        bus = MemoryBus(silent)
        deps = msgspec.structs.replace(gateway.deps, bus=bus)
        making = asyncio.create_task(make_defaults(deps, GIVEN))
        await asyncio.sleep(0)
        assert not making.done()

        await announce_all(bus)
        await making

    assert await bus.last_of("cfg.store.*")


async def test_without_variables_nothing_is_made(gateway: Gateway) -> None:
    await make_defaults(gateway.deps, Defaults())

    assert (await gateway.call("GET", "/stores")).json()["items"] == []


async def test_mail_and_slack_begin_as_channels_that_hear_of_trouble(
    gateway: Gateway, platform: Platform
) -> None:
    given = Defaults(
        smtp_host="mail.example.com",
        smtp_from="holdfast@example.com",
        smtp_to="ops@example.com",
        smtp_password="canary-8d11",
        slack_webhook_url="https://hooks.slack.com/services/canary-4c02",
    )
    await asyncio.gather(*(make_defaults(gateway.deps, given) for _ in range(2)))
    await make_defaults(gateway.deps, given)

    channels = (await gateway.call("GET", "/notifications/channels")).json()["items"]
    rules = (await gateway.call("GET", "/notifications/rules")).json()["items"]
    assert [(one["name"], one["channel"]["kind"]) for one in channels] == [
        ("mail", "email"),
        ("slack", "slack"),
    ]
    assert [one["channel_id"] for one in rules] == [one["id"] for one in channels]
    assert {one["min_severity"] for one in rules} == {"warning"}
    assert "canary" not in str(channels)
    stored = await platform.bus.last_of("cfg.channel.*")
    assert not [one for one in stored if b"canary" in one.data or b"ops@" in one.data]


def test_a_mail_channel_that_lacks_something_stops_the_start_with_its_name() -> None:
    faults = Defaults(smtp_host="mail.example.com").faults()

    assert faults == [
        "SMTP_FROM is not set, but another SMTP_ is",
        "SMTP_TO is not set, but another SMTP_ is",
    ]
