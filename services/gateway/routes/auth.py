"""Signing in and out."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import JSONBody
from msgspec import Meta

from services.gateway.accounts import Account
from services.gateway.authentication import REFRESH_COOKIE, peer_of, refuse_foreign_origin
from services.gateway.dependencies import Dependencies
from services.gateway.errors import SessionEndedError, WrongCredentialsError
from services.gateway.grants import Reach, everywhere, holds, reach
from services.gateway.injection import Deps, Who
from services.gateway.passwords import LONGEST
from services.gateway.representations import Input
from services.gateway.rights import Right
from services.gateway.sessions import named_by
from services.gateway.signing_in import (
    SignedIn,
    expired_cookies,
    hand_out,
    refused,
    sign_in,
)
from shared.errors import UnauthenticatedError
from shared.messages.facts import UserSignedOut


class Credentials(Input, frozen=True, kw_only=True):
    """Address and password; `cookies` asks for HttpOnly cookies instead of tokens in the body."""

    email: Annotated[str, Meta(max_length=254)]
    password: Annotated[str, Meta(max_length=LONGEST, extra_json_schema={"writeOnly": True})]
    cookies: bool = False

    def __repr__(self) -> str:
        return "Credentials(***)"


class Me(Account, frozen=True, kw_only=True):
    """The account that asks, and the `rights` that it holds anywhere: what a page may offer.

    Those of them in `rights_everywhere` have no limit of scope. Where the others hold, each server
    tells (`may`). Servers may be added to, and moved into, these environments or groups
    (`servers_within`); null: any.
    """

    rights: list[Right]
    rights_everywhere: list[Right]
    servers_within: Reach | None = None


class Refresh(Input, frozen=True, kw_only=True):
    """The refresh token; browsers send it as a cookie."""

    refresh_token: Annotated[str, Meta(max_length=200, extra_json_schema={"writeOnly": True})] = ""

    def __repr__(self) -> str:
        return "Refresh(***)"


@post(
    "/auth/login", opt={"right": Right.PUBLIC}, tags=["auth"], operation_id="login", status_code=200
)
async def login(
    data: JSONBody[Credentials], request: Request[Any, Any, Any], deps: Deps
) -> Response[SignedIn]:
    """Sign in with address and password."""
    if data.cookies:
        refuse_foreign_origin(request)
    claim = deps.accounts.email_claim(data.email)
    # Counted before the costly hash, however many ask at once.
    attempt = await deps.attempts.admit(claim, peer_of(request))
    account = await _proved(data, request, deps)
    if account is None:
        raise WrongCredentialsError("the address or the password is wrong")
    await deps.attempts.succeeded(attempt)
    return await sign_in(request, deps, account, cookies=data.cookies)


async def _proved(
    data: Credentials, request: Request[Any, Any, Any], deps: Dependencies
) -> Account | None:
    """The account whose password this is, or None. Takes equally long for unknown addresses."""
    row = await deps.accounts.by_email(data.email)
    if row is None:
        await deps.passwords.pretend(data.password)
        return None
    user_id = str(row.id)
    hashed = await deps.accounts.opened(user_id, "password_hash", row.password_hash)
    if await deps.passwords.matches(hashed, data.password) and not row.disabled:
        return await deps.accounts.by_id(user_id)
    await refused(request, deps, user_id)
    return None


@post(
    "/auth/refresh",
    opt={"right": Right.PUBLIC},
    tags=["auth"],
    operation_id="refresh",
    status_code=200,
)
async def refresh(
    data: JSONBody[Refresh], request: Request[Any, Any, Any], deps: Deps
) -> Response[SignedIn]:
    """Exchange the refresh token for a new pair. Each works once; a reuse ends the session."""
    token, cookies = data.refresh_token, False
    if not token:
        token, cookies = request.cookies.get(REFRESH_COOKIE, ""), True
        refuse_foreign_origin(request)
    try:
        opened = await deps.sessions.renew(token)
    except SessionEndedError:
        deps.identities.forget(named_by(token)[0])
        raise
    account = await deps.accounts.by_id(opened.user_id)
    if account is None or account.disabled:
        await deps.sessions.end(opened.user_id, opened.session_id)
        raise SessionEndedError("the account is disabled or deleted")
    return hand_out(deps, opened, account, cookies=cookies)


@post(
    "/auth/logout",
    opt={"right": Right.PERSON},
    tags=["auth"],
    operation_id="logout",
    status_code=204,
)
async def logout(deps: Deps, caller: Who) -> Response[None]:
    """End the session: its access and refresh tokens work no longer."""
    await deps.sessions.end(caller.user_id, caller.session_id)
    deps.identities.forget(caller.user_id)
    await deps.bus.append(
        UserSignedOut(user_id=caller.user_id, actor=caller.actor, request_id=caller.request_id)
    )
    return Response(None, status_code=204, cookies=expired_cookies(deps))


@get("/auth/me", opt={"right": Right.SELF}, tags=["auth"], operation_id="me")
async def me(deps: Deps, caller: Who) -> Me:
    """The signed-in account, and what it may do."""
    account = await deps.accounts.by_id(caller.user_id)
    if account is None:
        raise UnauthenticatedError("the account is deleted")
    rights: list[Right] = [it for it in Right if it is not Right.PUBLIC and holds(caller, it)]
    whole = [right for right in rights if everywhere(caller, right)]
    return Me(
        **msgspec.structs.asdict(account),
        rights=rights,
        rights_everywhere=whole,
        servers_within=reach(caller, Right.SERVERS_WRITE),
    )


ROUTES = [
    login,
    refresh,
    logout,
    me,
]
