"""Who makes the request, and may they: one guard on every route."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from services.gateway.callers import Caller
from services.gateway.dependencies import Dependencies
from services.gateway.errors import ForeignOriginError
from services.gateway.rights import Right
from services.gateway.scope import holds
from shared.errors import ForbiddenError, UnauthenticatedError

ACCESS_COOKIE = "holdfast_access"
REFRESH_COOKIE = "holdfast_refresh"
READING = {"GET", "HEAD", "OPTIONS"}

Connection = ASGIConnection[Any, Any, Any, Any]


async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
    """Refuse whoever lacks the right that the route names."""
    right = right_of(handler)
    if right is Right.PUBLIC:
        return
    caller = await _identified(connection)
    if not holds(caller, right):
        raise ForbiddenError(
            f"the account lacks the right {right.value}",
            fix="ask an administrator",
        )
    connection.scope["state"]["caller"] = caller


def right_of(handler: BaseRouteHandler) -> Right:
    """The right that a route names; the framework's own answers to OPTIONS tell nothing."""
    if getattr(handler, "http_methods", None) == {"OPTIONS"}:
        return Right.PUBLIC
    right = handler.opt.get("right")
    if not isinstance(right, Right):
        raise TypeError(f"the route {sorted(handler.paths)} names no right")
    return right


async def _identified(connection: Connection) -> Caller:
    deps: Dependencies = connection.app.state.deps
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        token = connection.cookies.get(ACCESS_COOKIE, "")
        if token:
            refuse_foreign_origin(connection)
    if not token:
        raise UnauthenticatedError("nobody is signed in")
    caller = await deps.accounts.caller(deps.tokens.read(token))
    return msgspec.structs.replace(caller, request_id=connection.scope["state"]["request_id"])


def refuse_foreign_origin(connection: Connection) -> None:
    """Raise ForeignOriginError when a browser sends a change that another site has caused."""
    if connection.scope.get("method") in READING:
        return
    origin = connection.headers.get("origin")
    if origin is not None:
        own = urlsplit(origin).netloc == connection.headers.get("host")
    else:
        own = connection.headers.get("sec-fetch-site") == "same-origin"
    if not own:
        raise ForeignOriginError("the request was not sent by this gateway's own pages")
