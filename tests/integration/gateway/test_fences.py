"""Where requests may come from, how many, and from which sites."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec
import pytest

from tests.integration.gateway.platform import EMAIL, ORIGIN, PASSWORD, Gateway, Platform

WRONG = {"email": EMAIL, "password": "wrong"}
OTHER_SITE = "https://dashboard.example.com"
Fenced = Callable[..., AbstractAsyncContextManager[Gateway]]


@pytest.fixture
def fenced(platform: Platform) -> Fenced:
    """A gateway with other settings, its first administrator signed in."""

    @asynccontextmanager
    async def with_settings(**settings: Any) -> AsyncIterator[Gateway]:
        platform.settings = msgspec.structs.replace(platform.settings, **settings)
        async with platform.gateway() as gateway:
            await gateway.set_up()
            yield gateway

    return with_settings


async def test_one_address_cannot_try_one_password_on_every_account(gateway: Gateway) -> None:
    """Abuse case 20: a spray over many accounts is counted by its address."""
    answers = [
        await gateway.call("POST", "/auth/login", {**WRONG, "email": f"u{number}@example.com"})
        for number in range(52)
    ]

    assert [answer.status_code for answer in answers] == [401] * 50 + [429] * 2
    assert int(answers[-1].headers["retry-after"]) > 0


async def test_a_forwarded_address_is_believed_from_trusted_proxies_only(fenced: Fenced) -> None:
    """Abuse case 20: a caller who invents X-Forwarded-For is counted as who they are."""
    async with fenced() as gateway:
        invented = [await _guess(gateway, f"203.0.113.{number}") for number in range(12)]

    assert invented == [401] * 10 + [429] * 2


async def test_behind_a_trusted_proxy_each_caller_is_counted_alone(fenced: Fenced) -> None:
    """Abuse case 20: what stands left of the peer that the proxy saw is only that one's claim."""
    async with fenced(trusted_proxies="127.0.0.0/8") as gateway:
        claims = [await _guess(gateway, f"10.0.0.{number}, 203.0.113.7") for number in range(12)]
        another = await _guess(gateway, "203.0.113.8")

    assert claims == [401] * 10 + [429] * 2
    assert another == 401


async def test_replicas_count_failed_sign_ins_together(
    gateway: Gateway, platform: Platform
) -> None:
    async with platform.gateway() as other:
        answers = [await each.call("POST", "/auth/login", WRONG) for each in (gateway, other) * 6]

    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2


async def test_only_allowed_networks_may_call(fenced: Fenced) -> None:
    async with fenced(allowed_addresses="127.0.0.0/8", trusted_proxies="127.0.0.1") as gateway:
        near = await gateway.call("GET", "/servers")
        far = await gateway.call("GET", "/servers", x_forwarded_for="203.0.113.7")
        login = await gateway.call("POST", "/auth/login", WRONG, x_forwarded_for="203.0.113.7")
        probe = await gateway.client.get("/healthz", headers={"x-forwarded-for": "203.0.113.7"})

    assert near.status_code == 200
    assert far.json()["code"] == login.json()["code"] == "auth.address_refused"
    assert probe.status_code == 200


async def test_answers_tell_what_is_left_and_too_many_requests_are_refused(fenced: Fenced) -> None:
    async with fenced(requests_per_minute=6) as gateway:
        answers = [await gateway.call("GET", "/servers") for _ in range(8)]

    left = [int(answer.headers["ratelimit-remaining"]) for answer in answers]
    assert left[:6] == [5, 4, 3, 2, 1, 0]
    assert answers[-1].json()["code"] == "rate_limited"
    assert int(answers[-1].headers["retry-after"]) > 0


async def test_pages_of_a_listed_site_may_read_and_of_others_not(fenced: Fenced) -> None:
    """Abuse case 24: no other site's page reads an answer, and none sends a cookie along."""
    asking = {"access-control-request-method": "PUT"}
    async with fenced(cors_origins=OTHER_SITE) as gateway:
        listed = await gateway.call("OPTIONS", "/servers", origin=OTHER_SITE, **asking)
        read = await gateway.call("GET", "/servers", origin=OTHER_SITE)
        evil = await gateway.call("OPTIONS", "/servers", origin="https://evil.example", **asking)
        evil_read = await gateway.call("GET", "/servers", origin="https://evil.example")

    assert listed.headers["access-control-allow-origin"] == OTHER_SITE
    assert read.headers["access-control-allow-origin"] == OTHER_SITE
    for answer in (listed, read, evil, evil_read):
        assert "access-control-allow-credentials" not in answer.headers
    for answer in (evil, evil_read):
        assert "access-control-allow-origin" not in answer.headers


async def test_a_cookie_changes_nothing_for_another_site_and_no_page_can_be_framed(
    fenced: Fenced,
) -> None:
    """Abuse case 24: also a site that may read with a token cannot use the browser's cookie."""
    body = {"email": EMAIL, "password": PASSWORD, "cookies": True}
    async with fenced(cors_origins=OTHER_SITE) as gateway:
        del gateway.client.headers["authorization"]
        await gateway.call("POST", "/auth/login", body, origin=ORIGIN)
        origins = (OTHER_SITE, "https://evil.example", "null", f"{ORIGIN}.evil.example")
        answers = [await gateway.call("POST", "/auth/logout", origin=origin) for origin in origins]
        page = await gateway.client.get("/docs")

    assert {answer.json()["code"] for answer in answers} == {"auth.foreign_origin"}
    assert page.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


async def test_signing_in_begins_a_session_that_nobody_could_fix_before(gateway: Gateway) -> None:
    """Abuse case 19: tokens that a browser brings along are not taken over by a sign-in."""
    first = await gateway.log_in()
    second = await gateway.call(
        "POST",
        "/auth/login",
        {"email": EMAIL, "password": PASSWORD},
        cookie=f"holdfast_refresh={first['refresh_token']}",
    )

    def session(token: str) -> str:
        return token.split(".")[1]

    assert session(first["refresh_token"]) != session(second.json()["refresh_token"])


async def test_a_refresh_token_dies_with_its_session(gateway: Gateway) -> None:
    """Abuse case 19: signed out is signed out, for access and refresh tokens."""
    tokens = await gateway.log_in()
    await gateway.call("POST", "/auth/logout")

    answers = [
        await gateway.call("POST", "/auth/refresh", {"refresh_token": token})
        for token in (tokens["refresh_token"], tokens["refresh_token"][:-1] + "x", "a.b.c", "")
    ]

    assert {answer.status_code for answer in answers} <= {401, 403}
    assert (await gateway.call("GET", "/auth/me")).status_code == 401


async def test_a_session_that_is_not_used_ends(fenced: Fenced) -> None:
    async with fenced(session_idle_s=60, session_longest_s=120) as gateway:
        tokens = await gateway.log_in()
        later = gateway.deps.clock().timestamp() + 61
        clock = type(gateway.deps.clock()).fromtimestamp(later, gateway.deps.clock().tzinfo)
        gateway.deps.sessions._clock = lambda: clock

        answer = await gateway.call(
            "POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"]}
        )

    assert answer.json()["code"] == "auth.session_ended"


async def _guess(gateway: Gateway, forwarded: str) -> int:
    answer = await gateway.call("POST", "/auth/login", WRONG, x_forwarded_for=forwarded)
    return answer.status_code
