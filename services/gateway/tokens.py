"""Access tokens: short-lived JWTs that name an account and its session."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import jwt
import msgspec
from uuid_utils.compat import uuid7

from services.gateway.secret_key import SecretKey
from shared.errors import UnauthenticatedError

ACCESS_S = 600
ISSUER = "holdfast"
AUDIENCE = "holdfast-api"
ALGORITHM = "HS256"
MOST_KNOWN = 10_000


class Bearer(msgspec.Struct, frozen=True):
    """Whom an access token speaks for."""

    user_id: str
    session_id: str


class AccessTokens:
    """Issues and reads access tokens; one algorithm, and every claim is required."""

    def __init__(self, secret: SecretKey, clock: Callable[[], datetime]) -> None:
        self._key = secret.of("access-token")
        self._retired = secret.retired("access-token")
        self._clock = clock
        self._known: dict[str, tuple[float, Bearer]] = {}

    def issue(self, bearer: Bearer) -> str:
        """A token that is valid for ACCESS_S seconds."""
        at = self._clock()
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": bearer.user_id,
            "sid": bearer.session_id,
            "jti": uuid7().hex,
            "iat": at,
            "exp": at + timedelta(seconds=ACCESS_S),
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def read(self, token: str) -> Bearer:
        """Whom a valid token speaks for; raises UnauthenticatedError for any other.

        A signature is checked once: a dashboard sends the same token with every request. A token
        of a retired key is valid until it ends, and it must have been issued before: so ACCESS_S
        after a rotation nothing that the old key signs is believed.
        """
        until, bearer = self._known.get(token) or self._checked(token)
        if time.time() >= until:
            raise _invalid()
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[token] = (until, bearer)
        return bearer

    def _checked(self, token: str) -> tuple[float, Bearer]:
        for key, until in self._believed():
            try:
                claims = _decoded(token, key)
                names = {"user_id": claims["sub"], "session_id": claims["sid"]}
                bearer = msgspec.convert(names, type=Bearer)
            except (jwt.InvalidTokenError, msgspec.ValidationError):
                continue
            if until is None or claims["exp"] <= until.timestamp():
                return float(claims["exp"]), bearer
        raise _invalid()

    def _believed(self) -> Iterator[tuple[bytes, datetime | None]]:
        """The keys to try, and when the last token of each ends."""
        yield self._key, None
        for key, retired_at in self._retired:
            until = retired_at + timedelta(seconds=ACCESS_S)
            if self._clock() < until:
                yield key, until


def _invalid() -> UnauthenticatedError:
    return UnauthenticatedError("the access token is not valid, or no longer")


def _decoded(token: str, key: bytes) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(
        token,
        key,
        algorithms=[ALGORITHM],
        audience=AUDIENCE,
        issuer=ISSUER,
        options={"require": ["exp", "iat", "iss", "aud", "sub", "jti", "sid"]},
    )
    return claims
