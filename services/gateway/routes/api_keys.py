"""API keys: for programs, each acting for the account that made it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta
from sqlalchemy import Row, select
from uuid_utils.compat import uuid7

from services.gateway import api_keys, configured
from services.gateway.appending import land
from services.gateway.callers import Caller
from services.gateway.configured import Noun
from services.gateway.dependencies import Dependencies
from services.gateway.errors import InputFault, InvalidFieldsError, PreconditionFailedError
from services.gateway.granting import NewGrants, refuse_unknown_in
from services.gateway.grants import holds
from services.gateway.injection import Deps, Who
from services.gateway.listing import ByName, Cursor, Limit, NamePart, listed, named, sorted_by
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.peers import networks
from services.gateway.representations import Input, Name
from services.gateway.rights import OWN, Right
from shared.bus import Draft, Expect, WrongSequenceError
from shared.messages.settings import ApiKeySetting, SettingRemoved
from shared.messages.values import Grant
from shared.readmodel.tables import api_keys as keys

PATH = "/api-keys"
Network = Annotated[str, Meta(max_length=64)]


class NewApiKey(Input, frozen=True, kw_only=True):
    """What a key may do: `rights` of its account, limited to `grants` and `addresses` if given."""

    name: Name
    rights: Annotated[list[Right], Meta(min_length=1, max_length=100)]
    grants: NewGrants = []
    addresses: Annotated[list[Network], Meta(max_length=50)] = []
    expires_at: datetime | None = None


class ApiKeyShown(msgspec.Struct, frozen=True, kw_only=True):
    """A key, without its secret. `last_used_at` is exact to the minute."""

    id: str
    name: str
    user_id: str
    rights: list[str]
    grants: list[Grant]
    addresses: list[str]
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    created_at: datetime
    version: int


class ApiKeyMade(msgspec.Struct, frozen=True, kw_only=True):
    """A new key. `token` is shown this once, and stored nowhere."""

    id: str
    token: str

    def __repr__(self) -> str:
        return f"ApiKeyMade(id={self.id!r})"


def _row(row: Row[Any]) -> Row[Any]:
    return row


API_KEY: Noun[Any] = Noun("api_key", keys, PATH, _row)


@get(PATH, opt={"right": Right.PERSON}, tags=["api-keys"], operation_id="list_api_keys")
async def list_api_keys(  # noqa: PLR0913, PLR0917 - an argument per query parameter
    deps: Deps,
    caller: Who,
    name: NamePart = None,
    sort: ByName = "created_at",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[ApiKeyShown]:
    """List the own API keys; with the right api_keys.read everybody's. The oldest first."""
    query = select(keys)
    if not holds(caller, Right.API_KEYS_READ):
        query = query.where(keys.c.user_id == caller.user_id)
    window = sorted_by(keys, sort, limit, cursor)
    page = await listed(deps, named(query, keys, name), window, _row)
    items = [await _shown(deps, row) for row in page.items]
    return Page(items=items, next_cursor=page.next_cursor)


@post(
    PATH,
    opt={"right": Right.PERSON},
    tags=["api-keys"],
    operation_id="create_api_key",
    status_code=201,
)
async def create_api_key(
    data: JSONBody[NewApiKey], deps: Deps, caller: Who
) -> Response[ApiKeyMade]:
    """Make an API key for the own account. The answer is not repeatable: its token is shown once,
    so that a second request makes a second key."""
    _refuse_impossible(deps, data)
    await refuse_unknown_in(deps, data.grants)
    key_id = str(uuid7())
    token, hashed = api_keys.new_secret(key_id)
    setting = ApiKeySetting(
        **configured.changing(key_id, caller).said_by(),
        name=data.name,
        user_id=caller.user_id,
        secret_sha256=hashed,
        rights=sorted({right.value for right in data.rights}),
        grants=[grant.granted() for grant in data.grants],
        addresses=data.addresses,
        expires_at=data.expires_at,
    )
    await land(deps, Draft(setting, Expect(0)))
    made = ApiKeyMade(id=key_id, token=token)
    return Response(made, status_code=201, headers={"Location": API_KEY.location(key_id)})


@get(
    PATH + "/{key_id:uuid}",
    opt={"right": Right.PERSON},
    tags=["api-keys"],
    operation_id="get_api_key",
)
async def get_api_key(key_id: FromPath[UUID], deps: Deps, caller: Who) -> Response[ApiKeyShown]:
    """Show one API key."""
    row = await _own(deps, caller, key_id, Right.API_KEYS_READ)
    shown = await _shown(deps, row)
    return Response(shown, status_code=200, headers={"ETag": f'"{row.version}"'})


@delete(
    PATH + "/{key_id:uuid}",
    opt={"right": Right.PERSON},
    tags=["api-keys"],
    operation_id="revoke_api_key",
    status_code=204,
)
async def revoke_api_key(
    key_id: FromPath[UUID], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> None:
    """Revoke an API key: it works no more, on any replica within two seconds."""
    row = await _own(deps, caller, key_id, Right.API_KEYS_REVOKE)
    configured.at_version(API_KEY, row, request)
    removed = SettingRemoved(**configured.changing(row.id, caller).said_by(), of="api_key")
    try:
        await land(deps, Draft(removed, Expect(row.version)))
    except WrongSequenceError as error:
        raise PreconditionFailedError("somebody revoked the key at this moment") from error
    deps.identities.forget(row.user_id)
    await deps.uses.forget(row.id)


def _refuse_impossible(deps: Dependencies, data: NewApiKey) -> None:
    faults = [InputFault("/rights", f"no key has {it.value}") for it in data.rights if it in OWN]
    try:
        networks(data.addresses)
    except ValueError:
        faults.append(InputFault("/addresses", "networks, such as 10.0.0.0/8"))
    if data.expires_at is not None and (
        data.expires_at.tzinfo is None or data.expires_at <= deps.clock()
    ):
        faults.append(InputFault("/expires_at", "a time to come, with its time zone"))
    if faults:
        raise InvalidFieldsError("the key cannot be made", faults)


async def _own(deps: Dependencies, caller: Caller, key_id: UUID, right: Right) -> Row[Any]:
    """The row of an own key, or of anybody's for who has `right`."""
    row: Row[Any] = await configured.row_of(deps, API_KEY, str(key_id))
    if row.user_id != caller.user_id and not holds(caller, right):
        raise configured.missing(API_KEY)
    return row


async def _shown(deps: Dependencies, row: Row[Any]) -> ApiKeyShown:
    return ApiKeyShown(
        id=row.id,
        name=row.name,
        user_id=row.user_id,
        rights=row.rights,
        grants=msgspec.convert(row.grants, list[Grant]),
        addresses=row.addresses,
        expires_at=row.expires_at,
        last_used_at=await deps.uses.last(row.id),
        created_at=row.created_at,
        version=row.version,
    )


ROUTES = [
    list_api_keys,
    create_api_key,
    get_api_key,
    revoke_api_key,
]
