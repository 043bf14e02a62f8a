"""The first administrator, sessions and rights."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import jwt
import msgspec
import pytest

from services.gateway.accounts import NewAccount
from services.gateway.claims import taking
from services.gateway.sessions import Limits
from shared.bus import Draft, Expect
from shared.bus.base import EVENTS
from shared.bus.gate import GUARD, Guarded
from shared.messages.values import Grant, Role
from tests.integration.gateway.operations import operations
from tests.integration.gateway.platform import EMAIL, ORIGIN, PASSWORD, TOKEN, Gateway, Platform

PUBLIC = {
    ("GET", "/api/v1/setup"),
    ("POST", "/api/v1/setup"),
    ("POST", "/api/v1/auth/login"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
}
SETUP = {"token": TOKEN, "name": "Ada", "email": EMAIL, "password": PASSWORD}


async def test_the_one_time_token_makes_one_administrator_however_many_ask_at_once(
    platform: Platform,
) -> None:
    """Abuse case 22: of any number of requests with the token of the start, one wins."""
    async with platform.gateway() as one, platform.gateway() as other:
        answers = await asyncio.gather(
            *(each.call("POST", "/setup", SETUP) for each in (one, other, one, other))
        )

    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    assert len(await platform.bus.last_of("cfg.user.*")) == 1
    [user, signed_in] = [
        *await platform.bus.last_of("cfg.user.*"),
        *await platform.bus.last_of("evt.user.signed_in.*.*"),
    ]
    assert signed_in.seq == user.seq + 1
    assert not Path(platform.settings.admin_token_file).exists()


async def test_a_wrong_token_makes_nobody(platform: Platform) -> None:
    """Abuse case 22: an open installation is nobody's who only finds it."""
    async with platform.gateway() as gateway:
        answer = await gateway.call("POST", "/setup", {**SETUP, "token": "guessed"})

        assert answer.status_code == 403
        assert (await gateway.call("GET", "/setup")).json()["needed"] is True


async def test_a_password_signs_in_whatever_the_case_of_the_address(gateway: Gateway) -> None:
    signed_in = await gateway.log_in(EMAIL.upper())

    assert signed_in["account"]["email"] == EMAIL
    assert (await gateway.call("GET", "/auth/me")).json()["role"] == "admin"


async def test_unknown_addresses_and_wrong_passwords_get_the_same_answer(gateway: Gateway) -> None:
    answers = [
        (await gateway.call("POST", "/auth/login", {"email": email, "password": "wrong"})).json()
        for email in (EMAIL, "nobody@example.com")
    ]

    first, second = ({**answer, "request_id": ""} for answer in answers)
    assert first == second
    assert first["code"] == "auth.wrong_credentials"


async def test_guessing_is_slowed_down(gateway: Gateway) -> None:
    for _ in range(10):
        await gateway.call("POST", "/auth/login", {"email": EMAIL, "password": "wrong"})

    answer = await gateway.call("POST", "/auth/login", {"email": EMAIL, "password": PASSWORD})

    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


async def test_guesses_made_at_once_are_counted_before_they_are_hashed(gateway: Gateway) -> None:
    body = {"email": EMAIL, "password": "wrong"}

    answers = await asyncio.gather(*(gateway.call("POST", "/auth/login", body) for _ in range(30)))

    codes = sorted(answer.status_code for answer in answers)
    assert codes == [401] * 10 + [429] * 20


async def test_right_passwords_are_not_counted(gateway: Gateway) -> None:
    for _ in range(12):
        await gateway.log_in()


async def test_nothing_personal_stands_in_the_log(gateway: Gateway, platform: Platform) -> None:
    last = (await platform.bus.state(EVENTS)).last_seq
    texts = []
    async for delivery in platform.bus.follow(EVENTS, after_seq=0):
        texts.append(delivery.data)
        if delivery.seq == last:
            break

    log = b"".join(texts).lower()
    assert b"user.signed_in" in log
    for personal in (EMAIL.lower().encode(), b'"ada"', PASSWORD.encode(), b"argon2", b"127.0.0.1"):
        assert personal not in log


async def test_a_refresh_token_works_once_and_its_reuse_ends_the_session(gateway: Gateway) -> None:
    """Abuse case 19: a replayed refresh token ends everything that came from it."""
    old = (await gateway.log_in())["refresh_token"]
    new = await gateway.call("POST", "/auth/refresh", {"refresh_token": old})
    gateway.signed_in(new)

    replayed = await gateway.call("POST", "/auth/refresh", {"refresh_token": old})
    after = await gateway.call(
        "POST", "/auth/refresh", {"refresh_token": new.json()["refresh_token"]}
    )

    assert (new.status_code, replayed.status_code, after.status_code) == (200, 401, 401)
    assert replayed.json()["code"] == "auth.session_ended"
    assert (await gateway.call("GET", "/auth/me")).status_code == 401


async def test_signing_out_ends_the_access_token_too(gateway: Gateway) -> None:
    assert (await gateway.call("POST", "/auth/logout")).status_code == 204

    assert (await gateway.call("GET", "/auth/me")).status_code == 401


async def test_a_session_ends_after_its_longest_time(gateway: Gateway) -> None:
    tokens = await gateway.log_in()
    later = gateway.deps.clock() + Limits().longest

    gateway.deps.sessions._clock = lambda: later

    answer = await gateway.call("POST", "/auth/refresh", {"refresh_token": tokens["refresh_token"]})
    assert answer.json()["code"] == "auth.session_ended"


@pytest.mark.parametrize(
    ("changes", "key", "algorithm"),
    [
        ({"aud": "other"}, None, "HS256"),
        ({"iss": "other"}, None, "HS256"),
        ({"exp": 1}, None, "HS256"),
        ({"sid": "0" * 32}, None, "HS256"),
        ({"sub": "somebody-else"}, None, "HS256"),
        ({"jti": None}, None, "HS256"),
        ({}, b"another key of thirty-two bytes!", "HS256"),
        ({}, None, "HS512"),
        ({}, None, "none"),
    ],
    ids=["audience", "issuer", "expired", "session", "account", "no-jti", "key", "alg", "none"],
)
async def test_a_forged_token_is_refused(
    gateway: Gateway, changes: dict[str, object], key: bytes | None, algorithm: str
) -> None:
    own = gateway.deps.secret.of("access-token")
    token = (await gateway.log_in())["access_token"]
    claims = jwt.decode(token, own, algorithms=["HS256"], audience="holdfast-api")
    claims = {name: value for name, value in {**claims, **changes}.items() if value is not None}
    signing = "" if algorithm == "none" else key or own
    forged = jwt.encode(claims, signing, algorithm=algorithm)

    answer = await gateway.call("GET", "/auth/me", authorization=f"Bearer {forged}")

    assert answer.status_code == 401


async def test_a_viewer_reads_and_changes_nothing(gateway: Gateway, tmp_path: Path) -> None:
    await gateway.add_store(tmp_path)
    await sign_in_as(gateway, Role.VIEWER)

    read = await gateway.call("GET", "/stores")
    wrote = await gateway.call("POST", "/stores", {"name": "x", "store": {"kind": "local"}})
    audit = await gateway.call("GET", "/audit/logs")

    assert (read.status_code, wrote.status_code, audit.status_code) == (200, 403, 403)
    assert wrote.json()["code"] == "auth.forbidden"


async def test_browsers_get_cookies_and_changes_need_the_own_origin(gateway: Gateway) -> None:
    del gateway.client.headers["authorization"]
    body = {"email": EMAIL, "password": PASSWORD, "cookies": True}

    foreign = await gateway.call("POST", "/auth/login", body, origin="http://evil.example")
    signed_in = await gateway.call("POST", "/auth/login", body, origin=ORIGIN)
    read = await gateway.call("GET", "/auth/me")
    without = await gateway.call("POST", "/auth/logout")
    from_elsewhere = await gateway.call("POST", "/auth/logout", origin="http://evil.example")
    refreshed = await gateway.call("POST", "/auth/refresh", {}, origin=ORIGIN)
    own = await gateway.call("POST", "/auth/logout", origin=ORIGIN)

    assert foreign.json()["code"] == "auth.foreign_origin"
    assert "access_token" not in signed_in.json()
    for cookie in signed_in.headers.get_list("set-cookie"):
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
    assert read.status_code == 200
    assert (without.status_code, from_elsewhere.status_code) == (403, 403)
    assert (refreshed.status_code, own.status_code) == (200, 204)
    assert (await gateway.call("GET", "/auth/me")).status_code == 401


async def test_only_what_must_be_public_is_public(gateway: Gateway) -> None:
    """Abuse case 23: every route of the document without a token; the refresh route says 401 too,
    for the missing token."""
    del gateway.client.headers["authorization"]

    open_routes = set()
    for operation in operations():
        body: dict[str, str] | None = {} if operation.method in {"POST", "PUT"} else None
        answer = await gateway.client.request(
            operation.method, operation.filled(), json=body, headers={"origin": ORIGIN}
        )
        if answer.status_code != 401:
            open_routes.add((operation.method, operation.path))

    assert open_routes == PUBLIC


async def sign_in_as(gateway: Gateway, role: Role, *grants: Grant) -> str:
    """Make an account of `role` and go on as it; returns its id."""
    name = f"{role.value}-{uuid4().hex[:6]}"
    email, password = f"{name}@example.com", "another long password"
    hashed = await gateway.deps.passwords.hash(password)
    account = NewAccount(
        name=name, email=email, password_hash=hashed, role=role, grants=list(grants)
    )
    setting = await gateway.deps.accounts.sealed(str(uuid4()), account)
    claim = await taking(gateway.deps, gateway.deps.accounts.email_claim(email), setting)
    landed = await gateway.deps.bus.append_all([claim, Draft(setting, Expect(0))])
    await gateway.deps.read_model.at_least(landed.seq)
    await gateway.log_in(email, password)
    return msgspec.convert(setting.key, str)


async def test_ready_means_that_the_auditor_allows_to_write(
    gateway: Gateway, platform: Platform
) -> None:
    async def held(_question: bytes) -> bytes:
        return msgspec.json.encode(Guarded(ok=False, cause="the stream is damaged"))

    async def allowed(_question: bytes) -> bytes:
        return msgspec.json.encode(Guarded(ok=True))

    silent = await gateway.client.get("/readyz")
    await platform.bus.answer(GUARD, held)
    refused = await gateway.client.get("/readyz")
    await platform.bus.answer(GUARD, allowed)
    ready = await gateway.client.get("/readyz")

    assert [answer.status_code for answer in (silent, refused, ready)] == [503, 503, 200]
    assert refused.json()["checks"]["auditor"] == "unavailable"
    assert ready.json()["checks"] == {"nats": "ok", "read_model": "ok", "auditor": "ok"}
