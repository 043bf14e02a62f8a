"""Who makes the request, from where, and may they: one guard on every route."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import msgspec
from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from services.gateway import api_keys
from services.gateway.callers import Caller
from services.gateway.dependencies import Dependencies
from services.gateway.errors import (
    AddressRefusedError,
    ForeignOriginError,
    SessionRequiredError,
    TooManyRequestsError,
)
from services.gateway.grants import holds
from services.gateway.peers import neighbourhood, networks, peer, within
from services.gateway.rights import Right
from shared.errors import ForbiddenError, UnauthenticatedError

ACCESS_COOKIE = "holdfast_access"
REFRESH_COOKIE = "holdfast_refresh"
READING = {"GET", "HEAD", "OPTIONS"}
PROBES = frozenset({"/healthz", "/readyz"})
"""What the machines ask that keep the gateway running, from whatever network."""

Connection = ASGIConnection[Any, Any, Any, Any]


async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
    """Refuse whoever lacks the right that the route names, or asks too often."""
    deps: Dependencies = connection.app.state.deps
    right, address = right_of(handler), peer_of(connection)
    if connection.scope["path"] not in PROBES and not within(address, deps.settings.allowed):
        raise AddressRefusedError("this address is not among the allowed ones")
    if right is Right.PUBLIC:
        _count(connection, deps, f"address {neighbourhood(address)}", strangers=True)
        return
    try:
        caller = await _identified(connection, deps)
    except UnauthenticatedError:
        _count(connection, deps, f"address {neighbourhood(address)}", strangers=True)
        raise
    _count(connection, deps, f"caller {caller.actor}")
    if caller.addresses and not within(address, networks(caller.addresses)):
        raise AddressRefusedError("this API key does not work from this address")
    if right is Right.PERSON and caller.key_id:
        raise SessionRequiredError("an API key cannot do this")
    if not holds(caller, right):
        raise ForbiddenError(
            f"the account lacks the right {right.value}", fix="ask an administrator"
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


def peer_of(connection: Connection) -> str:
    """The address that the request comes from; empty over a socket without addresses."""
    deps: Dependencies = connection.app.state.deps
    client = connection.client.host if connection.client else ""
    forwarded = connection.headers.getall("x-forwarded-for", [])
    return peer(client, forwarded, deps.settings.proxies)


async def _identified(connection: Connection, deps: Dependencies) -> Caller:
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        token = connection.cookies.get(ACCESS_COOKIE, "")
        if token:
            refuse_foreign_origin(connection)
    if not token:
        raise UnauthenticatedError("nobody is signed in")
    if (key := api_keys.read(token)) is not None:
        caller = await deps.identities.caller(key)
        await deps.uses.note(key.key_id)
    else:
        caller = await deps.identities.caller(deps.tokens.read(token))
    return msgspec.structs.replace(caller, request_id=connection.scope["state"]["request_id"])


def _count(
    connection: Connection, deps: Dependencies, who: str, *, strangers: bool = False
) -> None:
    """Count a request against a limit; the answer tells what is left, also when this raises."""
    limit = deps.settings.requests_per_minute
    if not limit:
        return
    limit = max(1, limit // 3) if strangers else limit
    rate = deps.rates.take(who, limit, asyncio.get_running_loop().time())
    connection.scope["state"]["rate"] = rate
    if rate.refused:
        raise TooManyRequestsError("too many requests", retry_after_s=rate.reset_s)


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
