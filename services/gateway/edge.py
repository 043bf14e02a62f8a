"""What every answer carries, errors too: a request id and the security headers."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils.compat import uuid7

from services.gateway.rates import Rate
from services.gateway.sharing import answer_preflight, asks_first, shared_with
from shared import metrics, trace

UNROUTED, ANY_PAGE = "(none)", "/{path}"
"""What no route of the API takes may be a page of the dashboard, or nothing."""
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH"})
QUIET = frozenset({"/healthz", "/readyz", "/metrics", "/api/v1/metrics"})
"""Asked by machines, again and again: in the log only where that is asked for."""

_log = structlog.get_logger()


_REQUEST_ID = re.compile(rb"^[A-Za-z0-9_-]{8,64}$")
STRICT = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
HEADERS = {
    "content-security-policy": STRICT,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Edge:
    """Wraps the application, so that no route and no error can forget a header."""

    def __init__(self, app: ASGIApp, *, secure: bool, origins: Sequence[str] = ()) -> None:
        self._app, self._origins = app, frozenset(origins)
        always = dict(HEADERS)
        if secure:
            always["strict-transport-security"] = "max-age=31536000; includeSubDomains"
        self._headers = [(name.encode(), value.encode()) for name, value in always.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        state: dict[str, Any] = dict(scope.get("state") or {})
        scope["state"] = state = {**state, "request_id": request_id}
        seen, shared = Seen(scope), shared_with(scope, self._origins)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                missing = [pair for pair in self._headers if pair[0] not in given]
                extra = [*missing, *shared, (b"x-request-id", request_id.encode())]
                extra += _rate(state)
                message["headers"] = [*message["headers"], *extra]
                seen.answered(message["status"])
            await send(message)

        with (
            structlog.contextvars.bound_contextvars(request_id=request_id),
            trace.within(trace.begun(_traceparent(scope)), seen.name),
        ):
            try:
                if shared and asks_first(scope):
                    await answer_preflight(send_with_headers)
                else:
                    await self._app(scope, receive, send_with_headers)
            finally:
                seen.log()


class Seen:
    """One request, as metrics and the log have it.

    Never its path or query, which hold what the caller likes, but the route that it found.
    """

    def __init__(self, scope: Any) -> None:
        self._scope, self._began_s = scope, time.perf_counter()
        self._status, self._seconds = 0, 0.0

    def answered(self, status: int) -> None:
        """The answer begins: a stream may go on for hours, which is not how long anybody waits."""
        self._status, self._seconds = status, time.perf_counter() - self._began_s
        metrics.REQUESTS.labels(self._method, self._route, status).inc()
        metrics.REQUEST_SECONDS.labels(self._method, self._route).observe(self._seconds)

    def name(self) -> str:
        """What a trace calls it."""
        return f"{self._method} {self._route}"

    def log(self) -> None:
        """One line for each request."""
        caller = self._scope["state"].get("caller")
        say = _log.debug if self._route in QUIET else _log.info
        say(
            "request",
            method=self._method,
            route=self._route,
            status=self._status,
            ms=round(self._seconds * 1000, 1),
            actor=caller.actor if caller else "",
        )

    @property
    def _method(self) -> str:
        method = str(self._scope["method"])
        return method if method in METHODS else "other"

    @property
    def _route(self) -> str:
        route = str(self._scope.get("path_template") or UNROUTED)
        return UNROUTED if route == ANY_PAGE else route


def _traceparent(scope: Any) -> str:
    given: bytes = dict(scope["headers"]).get(b"traceparent", b"")
    return given.decode("ascii", "replace")


def _request_id(scope: Any) -> str:
    """The caller's id when it is harmless in a log, else a new one."""
    given = dict(scope["headers"]).get(b"x-request-id", b"")
    return given.decode() if _REQUEST_ID.match(given) else uuid7().hex


def _rate(state: dict[str, Any]) -> list[tuple[bytes, bytes]]:
    """What the caller may still ask; the guard has counted it."""
    rate: Rate | None = state.get("rate")
    return [] if rate is None else [(k.encode(), v.encode()) for k, v in rate.headers().items()]
