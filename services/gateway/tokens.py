"""Access tokens: short-lived JWTs that name an account and its session."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

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

        A signature is checked once: a dashboard sends the same token with every request.
        """
        until, bearer = self._known.get(token) or self._checked(token)
        if time.time() >= until:
            raise UnauthenticatedError("the access token is not valid, or no longer")
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[token] = (until, bearer)
        return bearer

    def _checked(self, token: str) -> tuple[float, Bearer]:
        required = ["exp", "iat", "iss", "aud", "sub", "jti", "sid"]
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": required},
            )
            names = {"user_id": claims["sub"], "session_id": claims["sid"]}
            return float(claims["exp"]), msgspec.convert(names, type=Bearer)
        except (jwt.InvalidTokenError, msgspec.ValidationError):
            raise UnauthenticatedError("the access token is not valid, or no longer") from None
