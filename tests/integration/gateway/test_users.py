"""Accounts of people, their sessions and passwords, API keys and groups."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from shared.bus.base import EVENTS
from shared.messages.values import Grant, Role
from tests.integration.gateway.platform import EMAIL, PASSWORD, Gateway, Platform
from tests.integration.gateway.test_accounts import sign_in_as

NEW = {"name": "Grace", "email": "Grace@example.com", "role": "viewer", "password": PASSWORD}
CHANGE = {"name": "Grace", "email": "Grace@example.com", "role": "viewer"}


async def test_an_account_is_made_shown_changed_and_deleted(gateway: Gateway) -> None:
    made = await gateway.add("/users", NEW)
    listed = (await gateway.call("GET", "/users")).json()["items"]
    changed = await change(gateway, made, email="hopper@example.com")
    taken = await gateway.call("POST", "/users", {**NEW, "email": "HOPPER@example.com"})
    free = await gateway.call("POST", "/users", NEW)
    gone = await gateway.call("DELETE", f"/users/{made['id']}", if_match=changed.headers["etag"])

    assert [user["name"] for user in listed] == ["Ada", "Grace"]
    assert "password" not in str(listed)
    assert (changed.status_code, changed.json()["email"]) == (200, "hopper@example.com")
    assert (taken.status_code, free.status_code, gone.status_code) == (409, 201, 204)
    assert (await gateway.call("GET", f"/users/{made['id']}")).status_code == 404


async def test_the_same_idempotency_key_makes_one_account(gateway: Gateway) -> None:
    answers = [await gateway.call("POST", "/users", NEW, idempotency_key="k1") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert len((await gateway.call("GET", "/users")).json()["items"]) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"role": "owner"},
        {"is_admin": True},
        {"grants": [{"role": "admin", "of": "everything"}]},
        {"grants": [{"role": "admin"}]},
        {"grants": [{"role": "viewer", "without": ["everything"]}]},
        {"grants": [{"role": "viewer", "group_ids": ["nobody"]}]},
        {"password": "short"},
        {"id": "b89e1c70-09ee-4d55-ac6a-4e5f45ef1ba9"},
    ],
    ids=str,
)
async def test_what_no_account_can_be_is_refused(gateway: Gateway, change: dict[str, Any]) -> None:
    """Abuse case 16: unknown fields, roles and rights are refused, never ignored."""
    answer = await gateway.call("POST", "/users", {**NEW, **change})

    assert (answer.status_code, answer.json()["code"]) == (400, "input.invalid")


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
async def test_nobody_raises_their_own_role(gateway: Gateway, role: Role) -> None:
    """Abuse case 16: neither by accounts, keys of others, nor a key with more than one has."""
    user_id = await sign_in_as(gateway, role)
    token = (await new_key(gateway, ["users.write", "servers.write"]))["token"]
    body = {**CHANGE, "role": "admin"}

    answers = [
        await gateway.call("PUT", f"/users/{user_id}", body, if_match='"1"'),
        await gateway.call("POST", "/users", {**NEW, "role": "admin"}),
        await gateway.call("POST", f"/users/{user_id}/password", {"password": PASSWORD}),
        await gateway.call("POST", "/users", NEW, authorization=f"Bearer {token}"),
        await gateway.call("POST", "/servers", {}, authorization=f"Bearer {token}"),
    ]

    assert {answer.status_code for answer in answers} <= {400, 403}
    assert [answer.status_code for answer in answers[:4]] == [403] * 4


async def test_the_last_administrator_of_everything_stays_one(gateway: Gateway) -> None:
    [me] = (await gateway.call("GET", "/users")).json()["items"]
    scoped = [{"role": "admin", "environments": ["staging"]}]

    answers = [
        await change(gateway, me, name="Ada", email=EMAIL, role="viewer"),
        await change(gateway, me, name="Ada", email=EMAIL, role="admin", disabled=True),
        await change(gateway, me, name="Ada", email=EMAIL, role="admin", grants=scoped),
        await gateway.call("DELETE", f"/users/{me['id']}", if_match=f'"{me["version"]}"'),
    ]

    assert {answer.json()["code"] for answer in answers} == {"user.last_admin"}


async def test_of_two_administrators_who_remove_each_other_one_stays(
    gateway: Gateway, platform: Platform
) -> None:
    await gateway.add("/users", {**NEW, "role": "admin"})
    users = (await gateway.call("GET", "/users")).json()["items"]
    async with platform.gateway() as other:
        other.client.headers["authorization"] = gateway.client.headers["authorization"]
        answers = await asyncio.gather(
            *(
                each.call("DELETE", f"/users/{user['id']}", if_match=f'"{user["version"]}"')
                for each, user in zip((gateway, other), users, strict=True)
            )
        )

    assert sorted(answer.status_code for answer in answers)[0] == 204
    assert [answer.is_success for answer in answers].count(True) == 1


async def test_deleting_an_account_erases_the_person_and_ends_what_speaks_for_it(
    gateway: Gateway, platform: Platform
) -> None:
    admin = gateway.client.headers["authorization"]
    made = await gateway.add("/users", {**NEW, "role": "operator"})
    signed_in = await gateway.log_in("grace@example.com")
    token = (await new_key(gateway, ["backups.read"]))["token"]
    old = gateway.client.headers["authorization"]

    gone = await gateway.call(
        "DELETE", f"/users/{made['id']}", authorization=admin, if_match=f'"{made["version"]}"'
    )
    answers = [
        await gateway.call("GET", "/backups", authorization=value)
        for value in (old, f"Bearer {token}")
    ]
    refreshed = await gateway.call(
        "POST", "/auth/refresh", {"refresh_token": signed_in["refresh_token"]}
    )

    assert gone.status_code == 204
    assert [answer.status_code for answer in (*answers, refreshed)] == [401, 401, 401]
    assert len(await platform.bus.last_of("evt.key.erased.core.*")) == 1
    assert await gateway.deps.bus.kv("keys").get(f"person-{made['id']}") is None


async def test_a_disabled_account_is_signed_out(gateway: Gateway) -> None:
    admin = gateway.client.headers["authorization"]
    made = await gateway.add("/users", NEW)
    await gateway.log_in("grace@example.com")
    own = gateway.client.headers["authorization"]
    gateway.client.headers["authorization"] = admin

    await change(gateway, made, disabled=True)

    assert (await gateway.call("GET", "/auth/me", authorization=own)).status_code == 401
    body = {"email": NEW["email"], "password": PASSWORD}
    assert (await gateway.call("POST", "/auth/login", body)).status_code == 401


async def test_more_rights_come_with_the_next_checkpoint_and_fewer_at_once(
    gateway: Gateway, platform: Platform
) -> None:
    admin = gateway.client.headers["authorization"]
    made = await gateway.add("/users", NEW)
    await gateway.log_in("grace@example.com")
    own, gateway.client.headers["authorization"] = gateway.client.headers["authorization"], admin

    async def audit() -> int:
        return (await gateway.call("GET", "/audit/logs", authorization=own)).status_code

    raised = await change(gateway, made, role="operator")
    before = await audit()
    await checkpointed(platform)
    gateway.deps.identities.forget(made["id"])
    after = await audit()
    await change(gateway, raised.json(), role="viewer")

    assert (before, after, await audit()) == (403, 200, 403)


async def test_a_password_is_changed_by_who_knows_it_and_ends_the_other_sessions(
    gateway: Gateway,
) -> None:
    other = (await gateway.log_in())["access_token"]
    await gateway.log_in()
    new = "a completely different one"

    wrong = await gateway.call(
        "POST", "/auth/password", {"current_password": "wrong", "new_password": new}
    )
    right = await gateway.call(
        "POST", "/auth/password", {"current_password": PASSWORD, "new_password": new}
    )

    assert (wrong.status_code, right.status_code) == (401, 204)
    assert (await gateway.call("GET", "/auth/me")).status_code == 200
    elsewhere = await gateway.call("GET", "/auth/me", authorization=f"Bearer {other}")
    assert elsewhere.status_code == 401
    await gateway.log_in(password=new)


async def test_sessions_are_listed_and_ended(gateway: Gateway) -> None:
    first = (await gateway.log_in())["access_token"]
    await gateway.log_in()
    items = (await gateway.call("GET", "/sessions")).json()["items"]
    [old] = [item for item in items if not item["current"]][-1:]

    ended = await gateway.call("DELETE", f"/sessions/{old['id']}")
    again = await gateway.call("DELETE", f"/sessions/{old['id']}")

    assert {item["address"] for item in items} == {"127.0.0.1"}
    assert [item["current"] for item in items].count(True) == 1
    assert (ended.status_code, again.status_code) == (204, 404)
    assert (await gateway.call("GET", "/auth/me")).status_code == 200
    answer = await gateway.call("GET", "/auth/me", authorization=f"Bearer {first}")
    assert answer.status_code == 401


async def test_an_administrator_ends_the_sessions_of_others_and_nobody_else_does(
    gateway: Gateway,
) -> None:
    admin = gateway.client.headers["authorization"]
    [me] = (await gateway.call("GET", "/users")).json()["items"]
    user_id = await sign_in_as(gateway, Role.OPERATOR)
    own = gateway.client.headers["authorization"]

    refused = [
        await gateway.call("GET", f"/users/{me['id']}/sessions"),
        await gateway.call("DELETE", f"/users/{me['id']}/sessions"),
    ]
    ended = await gateway.call("DELETE", f"/users/{user_id}/sessions", authorization=admin)

    assert [answer.status_code for answer in refused] == [403, 403]
    assert ended.status_code == 204
    assert (await gateway.call("GET", "/auth/me", authorization=own)).status_code == 401


async def test_an_api_key_does_what_it_names_and_no_more(gateway: Gateway) -> None:
    made = await new_key(gateway, ["servers.read"])
    key = f"Bearer {made['token']}"

    read = await gateway.call("GET", "/servers", authorization=key)
    stores = await gateway.call("GET", "/stores", authorization=key)
    session = await gateway.call("GET", "/sessions", authorization=key)
    another = await gateway.call("POST", "/api-keys", {}, authorization=key)
    shown = (await gateway.call("GET", f"/api-keys/{made['id']}")).json()

    assert made["token"].startswith("hfk_")
    assert (read.status_code, stores.status_code) == (200, 403)
    assert session.json()["code"] == another.json()["code"] == "auth.session_required"
    assert shown["last_used_at"] is not None
    assert made["token"] not in str(shown)


async def test_an_api_key_can_be_limited_to_a_scope_and_to_addresses(gateway: Gateway) -> None:
    for environment in ("staging", "production"):
        await gateway.add_server(name=environment, environment=environment)
    rights = ["servers.read"]
    scoped = await new_key(
        gateway, rights, grants=[{"role": "viewer", "environments": ["staging"]}]
    )
    elsewhere = await new_key(gateway, rights, addresses=["192.0.2.0/24"])
    here = await new_key(gateway, rights, addresses=["127.0.0.0/8"])

    def call(made: dict[str, Any]) -> Any:
        return gateway.call("GET", "/servers", authorization=f"Bearer {made['token']}")

    names = [item["name"] for item in (await call(scoped)).json()["items"]]
    refused = await call(elsewhere)

    assert names == ["staging"]
    assert refused.json()["code"] == "auth.address_refused"
    assert (await call(here)).status_code == 200


async def test_a_revoked_expired_or_forged_api_key_is_refused(gateway: Gateway) -> None:
    made = await new_key(gateway, ["servers.read"])
    soon = (gateway.deps.clock() + timedelta(days=1)).isoformat()
    expiring = await new_key(gateway, ["servers.read"], expires_at=soon)
    forged = made["token"][:-4] + ("aaaa" if not made["token"].endswith("aaaa") else "bbbb")

    async def status(token: str) -> int:
        answer = await gateway.call("GET", "/servers", authorization=f"Bearer {token}")
        return answer.status_code

    good = await status(made["token"])
    shown = await gateway.call("GET", f"/api-keys/{made['id']}")
    await gateway.call("DELETE", f"/api-keys/{made['id']}", if_match=shown.headers["etag"])
    later: datetime = gateway.deps.clock() + timedelta(days=2)
    gateway.deps.identities._clock = lambda: later

    assert good == 200
    assert [await status(it) for it in (made["token"], forged, expiring["token"])] == [401] * 3


async def test_an_idle_key_that_is_used_fills_no_log(gateway: Gateway, platform: Platform) -> None:
    made = await new_key(gateway, ["servers.read"])
    before = (await platform.bus.state(EVENTS)).last_seq

    for _ in range(5):
        await gateway.call("GET", "/servers", authorization=f"Bearer {made['token']}")

    assert (await platform.bus.state(EVENTS)).last_seq == before


async def test_keys_of_others_do_not_exist(gateway: Gateway) -> None:
    made = await new_key(gateway, ["servers.read"])
    await sign_in_as(gateway, Role.OPERATOR)

    answer = await gateway.call("GET", f"/api-keys/{made['id']}")
    listed = await gateway.call("GET", "/api-keys")

    assert (answer.status_code, listed.json()["items"]) == (404, [])


async def test_a_group_gives_its_members_to_whoever_holds_a_grant_for_it(gateway: Gateway) -> None:
    group = await gateway.add("/server-groups", {"name": "web"})
    await gateway.add_server(name="inside", group_ids=[group["id"]])
    await gateway.add_server(name="outside")
    unknown = await gateway.call("POST", "/servers", {"name": "x", "group_ids": ["nobody"]})
    held = await gateway.call(
        "DELETE", f"/server-groups/{group['id']}", if_match=f'"{group["version"]}"'
    )
    await sign_in_as(gateway, Role.VIEWER, Grant(role=Role.VIEWER, group_ids=[group["id"]]))

    names = [item["name"] for item in (await gateway.call("GET", "/servers")).json()["items"]]

    assert names == ["inside"]
    assert (unknown.status_code, held.json()["code"]) == (400, "in_use")


async def change(gateway: Gateway, user: dict[str, Any], **fields: Any) -> Any:
    """PUT an account over the version in `user`."""
    body = {**CHANGE, **fields}
    return await gateway.call("PUT", f"/users/{user['id']}", body, if_match=f'"{user["version"]}"')


async def new_key(gateway: Gateway, rights: list[str], **limits: Any) -> dict[str, Any]:
    """An API key of the account that is signed in."""
    return await gateway.add("/api-keys", {"name": "robot", "rights": rights, **limits})


async def checkpointed(platform: Platform) -> None:
    """A checkpoint over everything, as the auditor signs one."""
    size = (await platform.bus.state(EVENTS)).last_seq
    connection = await asyncpg.connect(platform.settings.database_url.replace("+asyncpg", ""))
    await connection.execute(
        "INSERT INTO audit_checkpoints (size, root, note, at) VALUES ($1, $2, 'note', now())",
        *(size, bytes(32)),
    )
    await connection.close()
