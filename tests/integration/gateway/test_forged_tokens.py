"""Abuse case 18: tokens that nobody issued, on a real route."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import jwt
import msgspec
import pytest

from tests.integration.gateway.platform import Gateway

Values = dict[str, Any]
HEADER: Values = {"alg": "HS256", "typ": "JWT"}


def encoded(value: Any) -> str:
    raw = msgspec.json.encode(value)
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def made(header: Values, claims: Any, key: bytes, digest: Any = sha256) -> str:
    """A token signed with HMAC, whatever its header says."""
    text = f"{encoded(header)}.{encoded(claims)}"
    signature = hmac.digest(key, text.encode(), digest)
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def header(**changes: Any) -> Callable[[Values, bytes], str]:
    return lambda claims, key: made({**HEADER, **changes}, claims, key)


def claim(**changes: Any) -> Callable[[Values, bytes], str]:
    """Signed with the real key: only what it says is wrong. None takes a claim away."""

    def build(claims: Values, key: bytes) -> str:
        changed = {name: it for name, it in {**claims, **changes}.items() if it is not None}
        return made(HEADER, changed, key)

    return build


def unsigned(claims: Values, alg: str) -> str:
    return f"{encoded({**HEADER, 'alg': alg})}.{encoded(claims)}."


FORGED: dict[str, Callable[[Values, bytes], str]] = {
    "alg none": lambda claims, _: unsigned(claims, "none"),
    "alg None": lambda claims, _: unsigned(claims, "None"),
    "alg nOnE": lambda claims, _: unsigned(claims, "nOnE"),
    "alg empty": lambda claims, _: unsigned(claims, ""),
    "no alg": lambda claims, key: made({"typ": "JWT"}, claims, key),
    "alg RS256 with the HMAC key": header(alg="RS256"),
    "alg ES256 with the HMAC key": header(alg="ES256"),
    "alg HS512 with an HS256 signature": header(alg="HS512"),
    "HS512, rightly signed": lambda claims, key: made(
        {**HEADER, "alg": "HS512"}, claims, key, "sha512"
    ),
    "another key": lambda claims, _: made(HEADER, claims, b"another key of thirty-two bytes!"),
    "an empty key": lambda claims, _: made(HEADER, claims, b""),
    "kid as a path, an empty key": lambda claims, _: made(
        {**HEADER, "kid": "../../../../dev/null"}, claims, b""
    ),
    "kid as SQL, the key it would give": lambda claims, _: made(
        {**HEADER, "kid": "x' UNION SELECT 'key"}, claims, b"key"
    ),
    "a key of its own": lambda claims, _: made(
        {**HEADER, "jwk": {"kty": "oct", "k": "a2V5"}}, claims, b"key"
    ),
    "a key from elsewhere": lambda claims, _: made(
        {**HEADER, "jku": "https://evil.example/keys"}, claims, b"key"
    ),
    "crit that nobody knows": header(crit=["b64"], b64=False),
    "no signature": lambda claims, key: made(HEADER, claims, key).rpartition(".")[0] + ".",
    "two parts": lambda claims, key: made(HEADER, claims, key).rpartition(".")[0],
    "claims that are no object": lambda _, key: made(HEADER, ["sub"], key),
    "expired": claim(exp=1),
    "expires never": claim(exp=None),
    "exp as text": claim(exp="tomorrow"),
    "issued in the future": claim(iat=4_000_000_000),
    "another audience": claim(aud="other"),
    "no audience": claim(aud=None),
    "another issuer": claim(iss="other"),
    "no issuer": claim(iss=None),
    "no jti": claim(jti=None),
    "no session": claim(sid=None),
    "a session that is over": claim(sid="0" * 32),
    "a session with a wildcard": claim(sid="*"),
    "another account": claim(sub="somebody-else"),
    "an account as a list": claim(sub=["a", "b"]),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_a_token_that_nobody_issued_is_refused(
    gateway: Gateway, forge: Callable[[Values, bytes], str]
) -> None:
    key = gateway.deps.secret.of("access-token")
    token = gateway.client.headers["authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, key, algorithms=["HS256"], audience="holdfast-api")
    genuine = await gateway.call("GET", "/servers", authorization=f"Bearer {token}")

    answer = await gateway.call("GET", "/servers", authorization=f"Bearer {forge(claims, key)}")

    assert genuine.status_code == 200
    assert (answer.status_code, answer.json()["code"]) == (401, "auth.required")


async def test_the_tokens_that_are_refused_are_otherwise_right(gateway: Gateway) -> None:
    """What the others change is really what is refused."""
    key = gateway.deps.secret.of("access-token")
    token = gateway.client.headers["authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, key, algorithms=["HS256"], audience="holdfast-api")

    answer = await gateway.call("GET", "/servers", authorization=f"Bearer {claim()(claims, key)}")

    assert answer.status_code == 200
    assert len(FORGED) >= 20
