"""Versions of settings, and going back to one."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from shared.messages.settings import ObjectiveSetting
from shared.messages.values import Role
from tests.integration.gateway.platform import Gateway
from tests.integration.gateway.test_accounts import sign_in_as

POLICY = {"name": "weekly", "keep_last": 3}


async def changed(gateway: Gateway, path: str, version: int, body: dict[str, Any]) -> int:
    answer = await gateway.call("PUT", path, body, if_match=f'"{version}"')
    assert answer.status_code == 200, answer.text
    return int(answer.json()["version"])


async def reverted(
    gateway: Gateway, about: str, version: int, present: int | None = None
) -> httpx.Response:
    headers = {} if present is None else {"if_match": f'"{present}"'}
    return await gateway.call("POST", f"/settings/{about}/revert", {"version": version}, **headers)


async def test_an_earlier_version_comes_back_with_its_name(gateway: Gateway) -> None:
    policy = await gateway.add("/policies", POLICY)
    path, about = f"/policies/{policy['id']}", f"policy/{policy['id']}"
    renamed = {"name": "monthly", "keep_last": 9}
    present = await changed(gateway, path, policy["version"], renamed)

    answer = await reverted(gateway, about, policy["version"], present)

    assert answer.status_code == 200, answer.text
    now = (await gateway.call("GET", path)).json()
    assert (now["name"], now["keep_last"]) == ("weekly", 3)
    assert answer.json()["version"] == now["version"] > present
    await gateway.add("/policies", renamed)  # its name is free again
    versions = (await gateway.call("GET", f"/settings/{about}/versions")).json()["items"]
    assert [one["version"] for one in versions] == [now["version"], present, policy["version"]]
    told = {one["pointer"]: one for one in versions[0]["changes"]}
    assert (told["/name"]["before"], told["/name"]["after"]) == ("monthly", "weekly")


async def test_versions_are_paged_and_each_tells_its_change_across_the_border(
    gateway: Gateway,
) -> None:
    policy = await gateway.add("/policies", POLICY)
    path, version = f"/policies/{policy['id']}", policy["version"]
    for keep in (4, 5, 6):
        version = await changed(gateway, path, version, {"name": "weekly", "keep_last": keep})

    query = f"/settings/policy/{policy['id']}/versions?limit=2"
    first = (await gateway.call("GET", query)).json()
    second = (await gateway.call("GET", f"{query}&cursor={first['next_cursor']}")).json()

    steps = [one["changes"] for one in first["items"] + second["items"]][:3]
    told = [[(one["before"], one["after"]) for one in step] for step in steps]
    assert told == [[(5, 6)], [(4, 5)], [(3, 4)]]
    assert second["next_cursor"] is None


async def test_an_erased_secret_does_not_come_back(gateway: Gateway) -> None:
    server = await gateway.add_server()
    path = f"/servers/{server['id']}"
    engine = {"kind": "postgresql", "host": "db2.test", "user": "u", "password": "canary-new"}
    body = {
        "name": "shop",
        "runner": {"kind": "local"},
        "endpoints": [{"name": "main", "engine": engine}],
    }
    present = await changed(gateway, path, server["version"], body)

    answer = await reverted(gateway, f"server/{server['id']}", server["version"], present)

    assert answer.status_code == 409
    assert answer.json()["code"] == "setting.secret_erased"
    assert answer.json()["errors"][0]["pointer"] == "/endpoints/0/engine/password"


async def test_a_kept_secret_comes_back_and_still_opens(gateway: Gateway) -> None:
    server = await gateway.add_server()
    engine = {**server["endpoints"][0]["engine"]}
    body = {
        "name": "renamed",
        "runner": server["runner"],
        "endpoints": [{"name": "main", "engine": engine}],
    }
    path, about = f"/servers/{server['id']}", f"server/{server['id']}"
    present = await changed(gateway, path, server["version"], body)

    answer = await reverted(gateway, about, server["version"], present)

    assert answer.status_code == 200, answer.text
    last = (await gateway.deps.bus.last_of(f"cfg.server.{server['id']}"))[-1].message
    from shared.keys.opened import open_server

    opened = await open_server(gateway.deps.vault, last)  # type: ignore[arg-type]
    assert opened.engines["main"]["password"] == "canary-5b1f"


async def test_going_back_says_which_version_it_replaces_and_names_one_there_was(
    gateway: Gateway, tmp_path: Path
) -> None:
    policy = await gateway.add("/policies", POLICY)
    store = await gateway.add_store(tmp_path)
    about, version = f"policy/{policy['id']}", policy["version"]

    codes = [
        (await reverted(gateway, about, version)).status_code,
        (await reverted(gateway, about, version, version + 9)).status_code,
        (await reverted(gateway, about, version, version)).status_code,
        (await reverted(gateway, about, store["version"], version)).status_code,
        (await reverted(gateway, "user/x", 1, 1)).status_code,
        (await gateway.call("GET", "/settings/policy/nobody/versions")).status_code,
    ]
    await sign_in_as(gateway, Role.OPERATOR)
    operator = await reverted(gateway, about, version, version)

    assert codes == [428, 412, 400, 404, 404, 404]
    assert operator.status_code == 403


async def test_a_version_that_points_at_what_is_gone_does_not_come_back(gateway: Gateway) -> None:
    body = {
        "name": "hook",
        "channel": {"kind": "webhook", "url": "https://a.test/h", "secret": f"whsec_{'A' * 43}="},
    }
    channels = [
        await gateway.add("/notifications/channels", {**body, "name": name}) for name in "ab"
    ]
    rule = {"name": "all", "channel_id": channels[0]["id"], "facts": ["backup.*"]}
    made = await gateway.add("/notifications/rules", rule)
    path = f"/notifications/rules/{made['id']}"
    present = await changed(
        gateway, path, made["version"], {**rule, "channel_id": channels[1]["id"]}
    )
    gone = channels[0]
    deleted = await gateway.call(
        "DELETE", f"/notifications/channels/{gone['id']}", if_match=f'"{gone["version"]}"'
    )
    assert deleted.status_code == 204, deleted.text

    answer = await reverted(gateway, f"rule/{made['id']}", made["version"], present)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/channel_id"


async def test_versions_are_filtered_and_still_told_against_the_one_before(
    gateway: Gateway,
) -> None:
    policy = await gateway.add("/policies", POLICY)
    path, about = f"/policies/{policy['id']}", f"/settings/policy/{policy['id']}/versions"
    second = await changed(gateway, path, policy["version"], {"name": "weekly", "keep_last": 4})
    await sign_in_as(gateway, Role.ADMIN)
    third = await changed(gateway, path, second, {"name": "weekly", "keep_last": 5})

    async def found(query: str) -> list[dict[str, Any]]:
        answer = await gateway.call("GET", f"{about}?{query}")
        assert answer.status_code == 200, answer.text
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    whole = await found("")
    me = (await gateway.call("GET", "/auth/me")).json()["id"]
    mine = await found(f"actor={whole[0]['actor']}")

    assert [one["version"] for one in whole] == [third, second, policy["version"]]
    assert me in whole[0]["actor"]
    assert mine == whole[:1]
    assert (mine[0]["changes"][0]["before"], mine[0]["changes"][0]["after"]) == (4, 5)
    at = whole[1]["time"].replace("+", "%2B")
    assert await found(f"since={at}") == whole[:2]
    assert await found(f"until={at}") == whole[2:]
    assert await found("actor=nobody") == []


async def test_a_version_of_a_store_whose_rule_would_close_a_circle_does_not_come_back(
    gateway: Gateway, tmp_path: Path
) -> None:
    def body(name: str, **rule: Any) -> dict[str, Any]:
        return {"name": name, "store": {"kind": "local", "root": str(tmp_path / name)}, **rule}

    hot, cold = [await gateway.add("/stores", body(name)) for name in ("hot", "cold")]
    towards = {"move_after_days": 3, "move_to_store_id": cold["id"]}
    with_rule = await changed(
        gateway, f"/stores/{hot['id']}", hot["version"], body("hot", **towards)
    )
    without = await changed(gateway, f"/stores/{hot['id']}", with_rule, body("hot"))
    back = {"move_after_days": 3, "move_to_store_id": hot["id"]}
    await changed(gateway, f"/stores/{cold['id']}", cold["version"], body("cold", **back))

    answer = await reverted(gateway, f"store/{hot['id']}", with_rule, without)

    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["pointer"] == "/move_to_store_id"
    assert (await reverted(gateway, f"store/{hot['id']}", hot["version"], without)).is_success


async def test_an_objective_comes_back_unless_its_group_is_gone(gateway: Gateway) -> None:
    group = await gateway.add("/server-groups", {"name": "web"})
    body = {"name": "gold", "rpo_s": 3600, "group_ids": [group["id"]]}
    made = await gateway.add("/objectives", body)
    path, about = f"/objectives/{made['id']}", f"objective/{made['id']}"
    looser = await changed(gateway, path, made["version"], {**body, "rpo_s": 7200})

    back = await reverted(gateway, about, made["version"], looser)

    assert back.status_code == 200, back.text
    assert (await gateway.call("GET", path)).json()["rpo_s"] == 3600
    tagged = {"name": "gold", "rpo_s": 3600, "tags": ["gold"]}
    present = await changed(gateway, path, back.json()["version"], tagged)
    gone = await gateway.call(
        "DELETE", f"/server-groups/{group['id']}", if_match=f'"{group["version"]}"'
    )
    assert gone.status_code == 204, gone.text
    dangling = await reverted(gateway, about, made["version"], present)
    assert dangling.status_code == 400
    assert dangling.json()["errors"][0]["pointer"] == "/group_ids/0"
    unknown = {"name": "gold", "rpo_s": 60, "database_ids": [str(UUID(int=9))]}
    said = ObjectiveSetting(key=made["id"], actor="user:x", **unknown)  # type: ignore[arg-type]
    sent = (await gateway.deps.bus.append(said)).seq
    await gateway.deps.read_model.at_least(sent)
    last = await changed(gateway, path, sent, tagged)
    of_database = await reverted(gateway, about, sent, last)
    assert of_database.status_code == 400, of_database.text
    assert of_database.json()["errors"][0]["pointer"] == "/database_ids/0"
