"""Users: the accounts of people."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post, put
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy import Row, select

from services.gateway import configured, people
from services.gateway.accounts import NewAccount, person_key
from services.gateway.appending import Landed
from services.gateway.callers import Caller
from services.gateway.configured import Noun
from services.gateway.dependencies import Dependencies
from services.gateway.granting import NewGrants, highest, refuse_unknown_in
from services.gateway.injection import Deps, Who
from services.gateway.listing import ByAge, Cursor, Limit, listed, sorted_by
from services.gateway.once import Answer, answer, once
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.representations import Accepted, Input, Name
from services.gateway.rights import Right
from services.gateway.routes.setup import Email, NewPassword
from shared.messages.values import Grant, Role
from shared.readmodel.tables import users


class UserChange(Input, frozen=True, kw_only=True):
    """An account as an administrator describes it. With `grants`, `role` is the highest of them."""

    name: Name
    email: Email
    role: Role
    grants: NewGrants = []
    disabled: bool = False

    def __repr__(self) -> str:
        return f"UserChange(role={self.role!r})"


class NewUser(Input, frozen=True, kw_only=True):
    """A new account with its first password."""

    name: Name
    email: Email
    role: Role
    grants: NewGrants = []
    password: NewPassword

    def __repr__(self) -> str:
        return f"NewUser(role={self.role!r})"


class PasswordReset(Input, frozen=True, kw_only=True):
    """A password that somebody else has chosen."""

    password: NewPassword

    def __repr__(self) -> str:
        return "PasswordReset(***)"


class User(msgspec.Struct, frozen=True, kw_only=True):
    """An account. More rights than before work once they stand in a signed audit checkpoint."""

    id: str
    name: str
    email: str
    role: Role
    grants: list[Grant]
    disabled: bool
    created_at: datetime
    updated_at: datetime
    version: int


def _row(row: Row[Any]) -> Row[Any]:
    return row


USER: Noun[Any] = Noun("user", users, "/users", _row)


async def user_of(deps: Dependencies, row: Row[Any]) -> User:
    """A row with name and address opened."""
    return User(
        id=row.id,
        name=await deps.accounts.opened(row.id, "name", row.name),
        email=await deps.accounts.opened(row.id, "email", row.email),
        role=Role(row.role),
        grants=msgspec.convert(row.grants, list[Grant]),
        disabled=row.disabled,
        created_at=row.created_at,
        updated_at=row.updated_at,
        version=row.version,
    )


RoleFilter = Annotated[Role | None, QueryParameter(description="Only accounts of this role")]
DisabledFilter = Annotated[
    bool | None, QueryParameter(description="Only accounts that are disabled, or are not")
]


@get("/users", opt={"right": Right.USERS_READ}, tags=["users"], operation_id="list_users")
async def list_users(  # noqa: PLR0913, PLR0917 - an argument per query parameter
    deps: Deps,
    role: RoleFilter = None,
    disabled: DisabledFilter = None,
    sort: ByAge = "created_at",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[User]:
    """List the accounts, the oldest first: their names are sealed, and cannot be sorted by."""
    query = select(users)
    if role is not None:
        query = query.where(users.c.role == role.value)
    if disabled is not None:
        query = query.where(users.c.disabled == disabled)
    page = await listed(deps, query, sorted_by(users, sort, limit, cursor), _row)
    items = [await user_of(deps, row) for row in page.items]
    return Page(items=items, next_cursor=page.next_cursor)


@post(
    "/users",
    opt={"right": Right.USERS_WRITE},
    tags=["users"],
    operation_id="create_user",
    status_code=201,
)
async def create_user(
    data: JSONBody[NewUser], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> Response[User]:
    """Make an account."""
    highest(data.role, data.grants)
    await refuse_unknown_in(deps, data.grants)

    async def create(thing: UUID) -> Answer:
        account = NewAccount(
            name=data.name,
            email=data.email.strip(),
            password_hash=await deps.passwords.hash(data.password),
            role=data.role,
            grants=[grant.granted() for grant in data.grants],
        )
        change = configured.creating(thing, caller)
        landed = await people.create(deps, change, account)
        location = USER.location(thing)
        if not landed.visible:
            return answer(202, Accepted(id=change.key, href=location), location, version=landed.seq)
        row = await configured.row_of(deps, USER, change.key)
        return answer(201, await user_of(deps, row), location, version=row.version)

    return await once(request, deps, caller, create)


@get(
    "/users/{user_id:uuid}",
    opt={"right": Right.USERS_READ},
    tags=["users"],
    operation_id="get_user",
)
async def get_user(user_id: FromPath[UUID], deps: Deps) -> Response[User]:
    """Show one account."""
    return await _shown(deps, await configured.row_of(deps, USER, str(user_id)))


@put(
    "/users/{user_id:uuid}",
    opt={"right": Right.USERS_WRITE},
    tags=["users"],
    operation_id="replace_user",
)
async def replace_user(
    user_id: FromPath[UUID],
    data: JSONBody[UserChange],
    request: Request[Any, Any, Any],
    deps: Deps,
    caller: Who,
) -> Response[User]:
    """Replace an account's name, address, role and grants, or disable it: then its sessions end.

    Fewer rights hold at once, more rights once the change stands in a signed audit checkpoint. The
    last administrator of everything stays one.
    """
    highest(data.role, data.grants)
    await refuse_unknown_in(deps, data.grants)
    row = await configured.current(deps, USER, str(user_id), request)
    before = await deps.accounts.opened(row.id, "email", row.email)
    subject, key = f"cfg.user.{row.id}", person_key(row.id)
    setting = msgspec.structs.replace(
        people.setting_of(row),
        **configured.changing(user_id, caller).said_by(),
        name=await deps.vault.seal(subject, "name", data.name, key_id=key),
        email=await deps.vault.seal(subject, "email", data.email.strip(), key_id=key),
        role=data.role,
        grants=[grant.granted() for grant in data.grants],
        disabled=data.disabled,
    )
    landed = await people.replace(deps, row, setting, email=(before, data.email))
    if data.disabled:
        await deps.sessions.end_all(row.id)
    deps.identities.forget(row.id)
    return await _changed(deps, landed, row.id)


@delete(
    "/users/{user_id:uuid}",
    opt={"right": Right.USERS_WRITE},
    tags=["users"],
    operation_id="delete_user",
    status_code=204,
)
async def delete_user(
    user_id: FromPath[UUID], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> None:
    """Delete an account with its sessions and API keys, and erase the key of what is personal: what
    the log says of the person opens no more. The last administrator of everything stays."""
    row = await configured.current(deps, USER, str(user_id), request)
    email = await deps.accounts.opened(row.id, "email", row.email)
    await people.remove(deps, row, caller, email)
    await deps.sessions.end_all(row.id)
    deps.identities.forget(row.id)


@post(
    "/users/{user_id:uuid}/password",
    opt={"right": Right.USERS_WRITE},
    tags=["users"],
    operation_id="reset_password",
    status_code=204,
)
async def reset_password(
    user_id: FromPath[UUID], data: JSONBody[PasswordReset], deps: Deps, caller: Who
) -> None:
    """Give an account another password; its sessions end."""
    row = await configured.row_of(deps, USER, str(user_id))
    await set_password(deps, row, caller, data.password)


async def set_password(
    deps: Dependencies, row: Row[Any], caller: Caller, password: str, *, but: str = ""
) -> None:
    """Change the password, and end every session of the account except `but`."""
    await people.change_password(deps, row, caller, password)
    await deps.sessions.end_all(row.id, but=but)
    deps.identities.forget(row.id)


async def _changed(deps: Dependencies, landed: Landed, user_id: str) -> Response[Any]:
    if not landed.visible:
        location = USER.location(user_id)
        headers = {"Location": location, "ETag": f'"{landed.seq}"'}
        return Response(Accepted(id=user_id, href=location), status_code=202, headers=headers)
    return await _shown(deps, await configured.row_of(deps, USER, user_id))


async def _shown(deps: Dependencies, row: Row[Any]) -> Response[User]:
    shown = await user_of(deps, row)
    return Response(shown, status_code=200, headers={"ETag": f'"{row.version}"'})


ROUTES = [
    list_users,
    create_user,
    get_user,
    replace_user,
    delete_user,
    reset_password,
]
