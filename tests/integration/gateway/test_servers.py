"""Servers through the API."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import msgspec
import pytest

from shared.keys.sealed import Sealed
from shared.keys.vault import SealedValueError
from shared.messages.facts import KeyErased
from shared.messages.settings import ServerSetting
from tests.integration.gateway.platform import SERVER, Gateway, Platform


async def test_a_server_comes_back_without_its_secret(gateway: Gateway) -> None:
    made = await gateway.add_server()

    answer = await gateway.call("GET", f"/servers/{made['id']}")
    assert answer.json() == made
    assert answer.headers["etag"] == f'"{made["version"]}"'
    assert made["endpoints"][0]["engine"]["host"] == "127.0.0.1"
    assert "password" not in made["endpoints"][0]["engine"]


async def test_the_log_never_holds_the_secret(gateway: Gateway, platform: Platform) -> None:
    made = await gateway.add_server()

    [stored] = await platform.bus.last_of(f"cfg.server.{made['id']}")
    assert b"canary-5b1f" not in stored.data
    assert msgspec.json.decode(stored.data)["endpoints"][0]["engine"]["password"].keys() == {
        "key",
        "token",
    }


async def test_of_two_creates_of_one_name_at_once_one_wins(gateway: Gateway) -> None:
    answers = await asyncio.gather(*(gateway.call("POST", "/servers", SERVER) for _ in range(2)))

    assert sorted(answer.status_code for answer in answers) == [201, 409]
    lost = next(answer for answer in answers if answer.status_code == 409)
    assert lost.json()["code"] == "name.taken"
    assert len((await gateway.call("GET", "/servers")).json()["items"]) == 1


async def test_an_unknown_field_is_refused_with_its_place(gateway: Gateway) -> None:
    answer = await gateway.call("POST", "/servers", {**SERVER, "surprise": 1})

    assert answer.status_code == 400
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["code"] == "input.invalid"
    assert "surprise" in answer.text


async def test_an_unknown_plug_in_field_is_refused_and_no_value_is_repeated(
    gateway: Gateway,
) -> None:
    body = _changed_engine(surprise="canary-77aa")

    answer = await gateway.call("POST", "/servers", body)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/endpoints/0/engine"
    assert "surprise" in answer.json()["errors"][0]["message"]
    assert "canary" not in answer.text


async def test_a_sealed_token_is_not_accepted(gateway: Gateway) -> None:
    body = _changed_engine(password={"key": "secret-x", "token": "y"})

    answer = await gateway.call("POST", "/servers", body)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/endpoints/0/engine/password"


async def test_a_change_needs_the_current_version(gateway: Gateway) -> None:
    made = await gateway.add_server()
    body = _kept(made, run_limit=3)
    path = f"/servers/{made['id']}"

    missing = await gateway.call("PUT", path, body)
    stale = await gateway.call("PUT", path, body, if_match='"1"')
    right = await gateway.call("PUT", path, body, if_match=f'"{made["version"]}"')
    again = await gateway.call("PUT", path, body, if_match=f'"{made["version"]}"')

    assert [a.status_code for a in (missing, stale, right, again)] == [428, 412, 200, 412]
    assert right.json()["run_limit"] == 3


async def test_an_absent_secret_is_kept_while_the_way_stays_the_same(
    gateway: Gateway, platform: Platform
) -> None:
    made = await gateway.add_server()
    subject = f"cfg.server.{made['id']}"
    [before] = await platform.bus.last_of(subject)

    answer = await _put(gateway, made, _kept(made, name="shop two"))

    [after] = await platform.bus.last_of(subject)
    assert answer.status_code == 200
    assert after.message.endpoints == before.message.endpoints  # type: ignore[union-attr]  # a ServerSetting


async def test_another_host_needs_the_secret_again(gateway: Gateway) -> None:
    made = await gateway.add_server()
    body = _kept(made)
    body["endpoints"][0]["engine"]["host"] = "192.0.2.7"

    answer = await _put(gateway, made, body)

    assert answer.status_code == 400
    assert answer.json()["code"] == "secret.required"
    assert answer.json()["errors"][0]["pointer"] == "/endpoints/0/engine/password"


async def test_another_pool_needs_the_secret_again(gateway: Gateway) -> None:
    made = await gateway.add_server()

    answer = await _put(gateway, made, _kept(made, pool="agent-7"))

    assert answer.json()["code"] == "secret.required"


async def test_a_rename_moves_the_name_and_a_delete_frees_it(gateway: Gateway) -> None:
    first = await gateway.add_server()
    renamed = (await _put(gateway, first, _kept(first, name="renamed"))).json()

    second = await gateway.add_server()
    taken = await _put(gateway, renamed, _kept(renamed, name="shop"))
    gone = await gateway.call(
        "DELETE", f"/servers/{second['id']}", if_match=f'"{second["version"]}"'
    )
    moved = await _put(gateway, renamed, _kept(renamed, name="shop"))

    assert taken.json()["code"] == "name.taken"
    assert gone.status_code == 204
    assert moved.json()["name"] == "shop"
    assert (await gateway.call("GET", f"/servers/{second['id']}")).status_code == 404


async def test_lists_are_paged_by_signed_cursors(gateway: Gateway) -> None:
    for name in ("c", "a", "b"):
        await gateway.add_server(name=name)

    first = (await gateway.call("GET", "/servers?limit=2")).json()
    second = (await gateway.call("GET", f"/servers?limit=2&cursor={first['next_cursor']}")).json()
    forged = await gateway.call("GET", f"/servers?cursor={first['next_cursor'][:-4]}AAAA")
    elsewhere = await gateway.call("GET", f"/stores?cursor={first['next_cursor']}")

    assert [item["name"] for item in first["items"] + second["items"]] == ["a", "b", "c"]
    assert second["next_cursor"] is None
    assert (forged.status_code, elsewhere.status_code) == (400, 400)


async def test_what_cannot_be_read_yet_is_accepted_not_refused(
    gateway: Gateway, platform: Platform
) -> None:
    platform.projecting.clear()

    answer = await gateway.call("POST", "/servers", SERVER)

    platform.projecting.set()
    assert answer.status_code == 202
    assert answer.headers["location"] == answer.json()["href"]


async def test_the_key_of_a_secret_is_erased_once_no_setting_holds_it(
    gateway: Gateway, platform: Platform
) -> None:
    made = await gateway.add_server()
    vault, subject = gateway.deps.vault, f"cfg.server.{made['id']}"

    async def token() -> Sealed:
        [delivery] = await platform.bus.last_of(subject)
        setting = delivery.message
        assert isinstance(setting, ServerSetting)
        return Sealed(**setting.endpoints[0].engine["password"])

    async def opened(sealed: Sealed) -> str:
        return await vault.open(sealed, subject, "endpoints.main.password")

    first = await token()
    renamed = (await _put(gateway, made, _kept(made, name="shop two"))).json()
    assert await opened(first) == "canary-5b1f"
    body = _kept(renamed)
    body["endpoints"][0]["engine"]["password"] = "canary-77aa"
    replaced = (await _put(gateway, renamed, body)).json()
    second = await token()

    with pytest.raises(SealedValueError):
        await opened(first)
    assert await opened(second) == "canary-77aa"
    removed = await gateway.call(
        "DELETE", f"/servers/{made['id']}", if_match=f'"{replaced["version"]}"'
    )
    assert removed.status_code == 204
    with pytest.raises(SealedValueError):
        await opened(second)
    erased = [one.message for one in await platform.bus.last_of("evt.key.erased.*.*")]
    keys = [one.key_id for one in erased if isinstance(one, KeyErased)]
    assert keys == [first.key, second.key]


def _changed_engine(**fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = copy.deepcopy(SERVER)
    body["endpoints"][0]["engine"] |= fields
    return body


def _kept(made: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What a caller who saw `made` sends back: everything but the secrets."""
    names = ("name", "environment", "pool", "runner", "endpoints", "run_limit")
    return {**{name: copy.deepcopy(made[name]) for name in names}, **changes}


async def _put(gateway: Gateway, made: dict[str, Any], body: dict[str, Any]) -> Any:
    return await gateway.call(
        "PUT", f"/servers/{made['id']}", body, if_match=f'"{made["version"]}"'
    )
