"""Settings of any noun: their versions, and going back to one of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta
from sqlalchemy import Row, select

from services.gateway import configured
from services.gateway.audit_entries import newest_first, said_by, versions_of
from services.gateway.audit_search import ActorFilter, Since, Until, said_by_whom_when
from services.gateway.callers import Caller
from services.gateway.changes import REMOVED, FieldChange, changes
from services.gateway.configured import Noun
from services.gateway.dependencies import Dependencies
from services.gateway.errors import InputFault, InvalidFieldsError
from services.gateway.injection import Deps, Who
from services.gateway.listing import Cursor, Limit, listed
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.representations import Input
from services.gateway.reverting import REVERSIBLE, Reversible, earlier
from services.gateway.rights import Right
from services.gateway.routes.stores import refuse_aimless, refuse_moved
from services.gateway.scope import admit, everywhere
from shared.errors import ForbiddenError, NotFoundError
from shared.messages.settings import StoreSetting


class Revert(Input, frozen=True, kw_only=True):
    """Which version is to come back."""

    version: Annotated[int, Meta(ge=1, le=2**53)]


class SettingVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a setting, and what it changed; of secrets only that they changed."""

    version: int
    time: datetime
    actor: str
    request_id: str
    removed: bool
    changes: list[FieldChange]


class Reverted(msgspec.Struct, frozen=True, kw_only=True):
    """The setting's new version, and where to see it."""

    noun: str
    id: str
    version: int
    href: str


@get(
    "/settings/{noun:str}/{key:str}/versions",
    opt={"right": Right.SETTINGS_READ},
    tags=["settings"],
    operation_id="list_setting_versions",
)
async def list_setting_versions(  # noqa: PLR0913, PLR0917 - an argument per query parameter
    noun: FromPath[str],
    key: FromPath[str],
    deps: Deps,
    actor: ActorFilter = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[SettingVersion]:
    """Every version of a setting, the newest first; also of a deleted one."""
    _reversible(noun)
    versions = versions_of(f"{noun}/{key}").subquery()
    if await deps.read_model.one(select(versions.c.n).limit(1)) is None:
        raise NotFoundError(f"there was never a {noun} with this id")
    query = select(versions).where(
        *said_by_whom_when(versions.c.actor, versions.c.time, actor, since, until)
    )
    return await listed(deps, query, newest_first(limit, cursor, versions), _version)


@post(
    "/settings/{noun:str}/{key:str}/revert",
    opt={"right": Right.SETTINGS_REVERT, "if_match": True},
    tags=["settings"],
    operation_id="revert_setting",
    status_code=200,
)
async def revert_setting(  # noqa: PLR0913, PLR0917 - what Litestar hands over
    noun: FromPath[str],
    key: FromPath[str],
    data: JSONBody[Revert],
    request: Request[Any, Any, Any],
    deps: Deps,
    caller: Who,
) -> Response[Reverted]:
    """Write an earlier version of a setting anew, over the version in `If-Match`.

    Needs the right to write that noun, too. A version whose secret was erased cannot come back.
    """
    kind = _reversible(noun)
    of_noun = Noun(noun, kind.table, kind.path, _reverted(noun, kind))
    row = await configured.current(deps, of_noun, key, request)
    await _require(deps, caller, noun, kind, row)
    setting: Any = await earlier(deps, noun, configured.changing(key, caller), data.version)
    if data.version == row.version:
        fault = InputFault("/version", "this is the present version")
        raise InvalidFieldsError("nothing would change", [fault])
    if isinstance(setting, StoreSetting):
        await refuse_moved(deps, row, setting.store)
        rule = setting.move_after_days, setting.move_to_store_id
        await refuse_aimless(deps, key, *rule)
    return await configured.replace(deps, of_noun, row, setting, setting.name)


def _reversible(noun: str) -> Reversible:
    kind = REVERSIBLE.get(noun)
    if kind is None:
        raise NotFoundError("no such kind of setting", fix=f"one of {', '.join(REVERSIBLE)}")
    return kind


async def _require(
    deps: Dependencies, caller: Caller, noun: str, kind: Reversible, row: Row[Any]
) -> None:
    if noun == "server":
        await admit(deps, caller, kind.write, row.id)
    elif not everywhere(caller, kind.write):
        raise ForbiddenError(
            f"the account lacks the right {kind.write.value}", fix="ask an administrator"
        )


def _reverted(noun: str, kind: Reversible) -> Any:
    def view(row: Row[Any]) -> Reverted:
        href = f"/api/v1{kind.path}/{row.id}"
        return Reverted(noun=noun, id=row.id, version=row.version, href=href)

    return view


def _version(row: Row[Any]) -> SettingVersion:
    before, said = said_by(row.before) if row.before is not None else None, said_by(row.data)
    return SettingVersion(
        version=row.seq,
        time=row.time,
        actor=row.actor,
        request_id=row.request_id,
        removed=said.get("type") == REMOVED,
        changes=changes(before, said),
    )


ROUTES = [
    list_setting_versions,
    revert_setting,
]
