"""Sessions: where an account is signed in, and how to end that; and its own password."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import msgspec
from litestar import Request, delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import Meta

from services.gateway import configured
from services.gateway.appending import land
from services.gateway.authentication import peer_of
from services.gateway.callers import Caller
from services.gateway.dependencies import Dependencies
from services.gateway.errors import WrongCredentialsError
from services.gateway.injection import Deps, Who
from services.gateway.listing import Cursor, Limit
from services.gateway.paging import (
    DEFAULT_LIMIT,
    Page,
    cursor_of,
    foreign_cursor,
    position_of,
)
from services.gateway.passwords import LONGEST
from services.gateway.representations import Input
from services.gateway.rights import Right
from services.gateway.routes.setup import NewPassword
from services.gateway.routes.users import USER, set_password
from services.gateway.sessions import Session
from shared.bus import Draft
from shared.errors import NotFoundError
from shared.messages.facts import UserSessionsEnded

ByOpening = Annotated[
    Literal["opened_at", "-opened_at"], QueryParameter(description="`-` is the newest first")
]


class Wanted(NamedTuple):
    """Which page of the sessions, in which order."""

    sort: str
    limit: int
    cursor: str | None


class SessionShown(msgspec.Struct, frozen=True, kw_only=True):
    """One sign-in. `used_at` is when its token was last renewed."""

    id: str
    opened_at: datetime
    used_at: datetime
    address: str = ""
    current: bool = False


class PasswordChange(Input, frozen=True, kw_only=True):
    """The own password: the present one proves who asks."""

    current_password: Annotated[
        str, Meta(max_length=LONGEST, extra_json_schema={"writeOnly": True})
    ]
    new_password: NewPassword

    def __repr__(self) -> str:
        return "PasswordChange(***)"


@get("/sessions", opt={"right": Right.PERSON}, tags=["auth"], operation_id="list_sessions")
async def list_sessions(
    deps: Deps,
    caller: Who,
    sort: ByOpening = "opened_at",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[SessionShown]:
    """List the own sessions, the oldest first."""
    return await _of(deps, caller.user_id, caller, Wanted(sort, limit, cursor))


@delete(
    "/sessions/{session_id:str}",
    opt={"right": Right.PERSON},
    tags=["auth"],
    operation_id="end_session",
    status_code=204,
)
async def end_session(session_id: FromPath[str], deps: Deps, caller: Who) -> None:
    """End one of the own sessions."""
    await _end(deps, caller, caller.user_id, session_id)


@get(
    "/users/{user_id:uuid}/sessions",
    opt={"right": Right.SESSIONS_READ},
    tags=["users"],
    operation_id="list_sessions_of_user",
)
async def list_sessions_of_user(  # noqa: PLR0913, PLR0917 - an argument per query parameter
    user_id: FromPath[UUID],
    deps: Deps,
    caller: Who,
    sort: ByOpening = "opened_at",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[SessionShown]:
    """List the sessions of an account, the oldest first."""
    await configured.row_of(deps, USER, str(user_id))
    return await _of(deps, str(user_id), caller, Wanted(sort, limit, cursor))


@delete(
    "/users/{user_id:uuid}/sessions",
    opt={"right": Right.SESSIONS_REVOKE},
    tags=["users"],
    operation_id="end_sessions_of_user",
    status_code=204,
)
async def end_sessions_of_user(user_id: FromPath[UUID], deps: Deps, caller: Who) -> None:
    """End every session of an account."""
    await configured.row_of(deps, USER, str(user_id))
    ended = await deps.sessions.end_all(str(user_id))
    await _said(deps, caller, str(user_id), ended)


@delete(
    "/users/{user_id:uuid}/sessions/{session_id:str}",
    opt={"right": Right.SESSIONS_REVOKE},
    tags=["users"],
    operation_id="end_session_of_user",
    status_code=204,
)
async def end_session_of_user(
    user_id: FromPath[UUID], session_id: FromPath[str], deps: Deps, caller: Who
) -> None:
    """End one session of an account."""
    await _end(deps, caller, str(user_id), session_id)


@post(
    "/auth/password",
    opt={"right": Right.PERSON},
    tags=["auth"],
    operation_id="change_password",
    status_code=204,
)
async def change_password(
    data: JSONBody[PasswordChange], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> None:
    """Change the own password; every other session of the account ends."""
    attempt = await deps.attempts.admit(f"password {caller.user_id}", peer_of(request))
    row = await configured.row_of(deps, USER, caller.user_id)
    hashed = await deps.accounts.opened(row.id, "password_hash", row.password_hash)
    if not await deps.passwords.matches(hashed, data.current_password):
        raise WrongCredentialsError("the present password is wrong")
    await deps.attempts.succeeded(attempt)
    await set_password(deps, row, caller, data.new_password, but=caller.session_id)


async def _of(
    deps: Dependencies, user_id: str, caller: Caller, wanted: Wanted
) -> Page[SessionShown]:
    """A page of them; they stand in KV, so the order and the page are made here."""
    turned, label = wanted.sort.startswith("-"), f"sessions {wanted.sort}"
    found = {(one.opened_at, key): one for key, one in (await deps.sessions.of(user_id)).items()}
    places = sorted(found, reverse=turned)
    if wanted.cursor is not None:
        said, *last = position_of(deps.secret, wanted.cursor, tuple[str, datetime, str])
        if said != label:
            raise foreign_cursor()
        behind = tuple(last)
        places = [one for one in places if (one < behind if turned else one > behind)]
    some = places[: wanted.limit]
    return Page(
        items=[await _shown(deps, caller, place[1], found[place]) for place in some],
        next_cursor=cursor_of(deps.secret, label, *some[-1]) if len(places) > len(some) else None,
    )


async def _shown(
    deps: Dependencies, caller: Caller, session_id: str, session: Session
) -> SessionShown:
    address = ""
    if session.address is not None:
        subject = f"evt.user.{session.user_id}"
        address = await deps.vault.open(session.address, subject, "address")
    return SessionShown(
        id=session_id,
        opened_at=session.opened_at,
        used_at=session.used_at,
        address=address,
        current=session_id == caller.session_id,
    )


async def _end(deps: Dependencies, caller: Caller, user_id: str, session_id: str) -> None:
    if not await deps.sessions.lives(user_id, session_id):
        raise NotFoundError("there is no session with this id", fix="see /sessions")
    await deps.sessions.end(user_id, session_id)
    await _said(deps, caller, user_id, [session_id])


async def _said(deps: Dependencies, caller: Caller, user_id: str, ended: list[str]) -> None:
    """Tell the log, and through it every replica's open streams."""
    deps.identities.forget(user_id)
    fact = UserSessionsEnded(
        user_id=user_id, session_ids=ended, actor=caller.actor, request_id=caller.request_id
    )
    await land(deps, Draft(fact))


ROUTES = [
    list_sessions,
    end_session,
    list_sessions_of_user,
    end_sessions_of_user,
    end_session_of_user,
    change_password,
]
