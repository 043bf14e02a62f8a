"""Handing out a session: tokens in the body for programs, cookies for browsers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import msgspec
from litestar import Request, Response
from litestar.datastructures import Cookie

from services.gateway.accounts import Account, person_key
from services.gateway.appending import land
from services.gateway.authentication import ACCESS_COOKIE, REFRESH_COOKIE, peer_of
from services.gateway.dependencies import Dependencies
from services.gateway.sessions import Opened
from services.gateway.tokens import ACCESS_S, Bearer
from shared.bus import Draft
from shared.keys.sealed import Sealed
from shared.messages.facts import UserSignedIn, UserSignInRefused

REFRESH_PATH = "/api/v1/auth"


class SignedIn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who is signed in. With `cookies` the tokens are not in the body but in HttpOnly cookies."""

    account: Account
    expires_in_s: int
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the scheme's name, no secret
    access_token: str = ""
    refresh_token: str = ""

    def __repr__(self) -> str:
        return "SignedIn(***)"


async def sign_in(
    request: Request[Any, Any, Any],
    deps: Dependencies,
    account: Account,
    *,
    cookies: bool,
) -> Response[SignedIn]:
    """Open a session for an account that has proved itself, and say so in the log."""
    await land(deps, await signing_in(request, deps, account.id))
    opened = await deps.sessions.open(account.id, await address_of(request, deps, account.id))
    return hand_out(deps, opened, account, cookies=cookies)


async def signing_in(request: Request[Any, Any, Any], deps: Dependencies, user_id: str) -> Draft:
    """What says in the log that this account signs in."""
    return Draft(
        UserSignedIn(
            user_id=user_id,
            address=await address_of(request, deps, user_id),
            actor=user_id,
            request_id=request.scope["state"]["request_id"],
        )
    )


async def refused(request: Request[Any, Any, Any], deps: Dependencies, user_id: str) -> None:
    """Say in the log that a sign-in for an existing account failed."""
    await deps.bus.append(
        UserSignInRefused(
            user_id=user_id,
            address=await address_of(request, deps, user_id),
            actor="service:gateway",
            request_id=request.scope["state"]["request_id"],
        )
    )


def hand_out(
    deps: Dependencies, opened: Opened, account: Account, *, cookies: bool, status: int = 200
) -> Response[SignedIn]:
    """The answer that carries a new access token and the next refresh token."""
    access = deps.tokens.issue(Bearer(opened.user_id, opened.session_id))
    if cookies:
        return Response(
            SignedIn(account=account, expires_in_s=ACCESS_S),
            status_code=status,
            cookies=_cookies(deps, access, opened.refresh_token),
        )
    signed_in = SignedIn(
        account=account,
        expires_in_s=ACCESS_S,
        access_token=access,
        refresh_token=opened.refresh_token,
    )
    return Response(signed_in, status_code=status)


def expired_cookies(deps: Dependencies) -> list[Cookie]:
    """Cookies that take the session's cookies away."""
    return [replace(cookie, max_age=0) for cookie in _cookies(deps, "", "")]


def _cookies(deps: Dependencies, access: str, refresh: str) -> list[Cookie]:
    secure = deps.settings.secure
    longest = deps.settings.session_longest_s
    return [
        Cookie(
            ACCESS_COOKIE,
            value=access,
            path="/",
            max_age=ACCESS_S,
            secure=secure,
            httponly=True,
            samesite="strict",
        ),
        Cookie(
            REFRESH_COOKIE,
            value=refresh,
            path=REFRESH_PATH,
            max_age=longest,
            secure=secure,
            httponly=True,
            samesite="strict",
        ),
    ]


async def address_of(
    request: Request[Any, Any, Any], deps: Dependencies, user_id: str
) -> Sealed | None:
    """Where the request comes from, sealed with the person's key."""
    address = peer_of(request)
    if not address:
        return None
    return await deps.vault.seal(
        f"evt.user.{user_id}", "address", address, key_id=person_key(user_id)
    )
