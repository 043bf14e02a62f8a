"""Access tokens: short-lived JWTs that name an account and its session."""

from __future__ import annotations

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


class Bearer(msgspec.Struct, frozen=True):
    """Whom an access token speaks for."""

    user_id: str
    session_id: str


class AccessTokens:
    """Issues and reads access tokens; one algorithm, and every claim is required."""

    def __init__(self, secret: SecretKey, clock: Callable[[], datetime]) -> None:
        self._key = secret.of("access-token")
        self._clock = clock

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
        """Whom a valid token speaks for; raises UnauthenticatedError for any other."""
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
            return msgspec.convert(
                {"user_id": claims["sub"], "session_id": claims["sid"]}, type=Bearer
            )
        except (jwt.InvalidTokenError, msgspec.ValidationError):
            raise UnauthenticatedError("the access token is not valid, or no longer") from None
