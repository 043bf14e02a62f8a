"""Letting the pages of listed other sites read answers (CORS). Cookies are never shared: such a
page sends a bearer token."""

from __future__ import annotations

from typing import Any

from litestar.types import Send

Headers = list[tuple[bytes, bytes]]
SHARING: Headers = [
    (b"vary", b"Origin"),
    (
        b"access-control-expose-headers",
        b"ETag, Location, Retry-After, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset,"
        b" X-Request-Id, Idempotency-Replayed",
    ),
]
PREFLIGHT: Headers = [
    (b"access-control-allow-methods", b"GET, POST, PUT, DELETE"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, If-Match, Idempotency-Key, Last-Event-ID, X-Request-Id",
    ),
    (b"access-control-max-age", b"600"),
]


def shared_with(scope: Any, origins: frozenset[str]) -> Headers:
    """The headers that let the asking page read the answer; none for a site that is not listed."""
    origin = dict(scope["headers"]).get(b"origin", b"")
    if origin.decode("latin-1") not in origins:
        return []
    return [(b"access-control-allow-origin", origin), *SHARING]


def asks_first(scope: Any) -> bool:
    """Whether a browser asks if a page of another site may send a request."""
    asked = dict(scope["headers"]).get(b"access-control-request-method")
    return scope["method"] == "OPTIONS" and asked is not None


async def answer_preflight(send: Send) -> None:
    """It may."""
    await send({"type": "http.response.start", "status": 204, "headers": [*PREFLIGHT]})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
