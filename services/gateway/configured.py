"""Configured things: written with their claim, changed at a known version, deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from litestar import Request, Response
from sqlalchemy import Row, Table, select
from uuid_utils.compat import uuid7

from services.gateway import claims
from services.gateway.appending import Landed, land, seen, visible
from services.gateway.callers import Caller
from services.gateway.dependencies import Dependencies
from services.gateway.erasing import land_over
from services.gateway.errors import (
    NameTakenError,
    PreconditionFailedError,
    PreconditionRequiredError,
    SpentKeyError,
)
from services.gateway.once import Answer, answer, first_id
from services.gateway.representations import Accepted
from services.gateway.rights import Right
from services.gateway.scope import admit
from shared.bus import Draft, Expect, WrongSequenceError
from shared.errors import NotFoundError
from shared.messages.settings import AnySetting, SettingRemoved

View = TypeVar("View")


class Noun(msgspec.Struct, Generic[View], frozen=True):
    """A kind of thing: its word, its table, where it is found, how it is shown.

    `server` is the column that says which server it belongs to; empty when it belongs to none.
    """

    name: str
    table: Table
    path: str
    view: Callable[[Row[Any]], View]
    server: str = ""

    def location(self, key: Any) -> str:
        """Where one thing is found."""
        return f"/api/v1{self.path}/{key}"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Who writes which thing, under which event id."""

    key: str
    event_id: UUID
    caller: Caller

    def said_by(self) -> dict[str, Any]:
        """The fields that every setting of this change carries."""
        return {
            "id": self.event_id,
            "key": self.key,
            "actor": self.caller.actor,
            "request_id": self.caller.request_id,
        }


def creating(thing: UUID, caller: Caller) -> Change:
    """The change that makes a new thing."""
    return Change(key=str(thing), event_id=first_id(thing), caller=caller)


def changing(key: Any, caller: Caller) -> Change:
    """A change of an existing thing."""
    return Change(key=str(key), event_id=uuid7(), caller=caller)


async def row_of(deps: Dependencies, noun: Noun[Any], key: Any) -> Row[Any]:
    """The row of one thing; raises NotFoundError."""
    row = await deps.read_model.one(select(noun.table).where(noun.table.c.id == key))
    if row is None:
        raise missing(noun)
    return row


async def admitted(
    deps: Dependencies, caller: Caller, right: Right, noun: Noun[Any], key: Any
) -> Row[Any]:
    """The row of one thing of a server, for a caller who may do with it what `right` names.

    Raises NotFoundError also for what they may not see, so that nobody learns that it exists, and
    ForbiddenError for what they may only see.
    """
    row = await row_of(deps, noun, key)
    try:
        await admit(deps, caller, right, row._mapping[noun.server])
    except NotFoundError:
        raise missing(noun) from None
    return row


async def create(
    deps: Dependencies,
    noun: Noun[Any],
    change: Change,
    name: str,
    make: Callable[[], Awaitable[AnySetting]],
) -> Answer:
    """Write a new thing and the claim of its name, or nothing.

    `make` builds the setting once the name looks free. Raises NameTakenError. A repeat of the same
    Idempotency-Key finds what the first one wrote.
    """
    claim = claims.claim_key(noun.name, name)
    looked = await claims.remembered(deps, claim)
    if looked[0] not in {None, change.key}:
        looked = await claims.holder(deps, claim)  # it may be free by now
        if looked[0] not in {None, change.key}:
            raise _taken(noun.name)
    if looked[0] is None:
        landed = await _create(deps, await make(), claim, looked)
    else:
        landed = await _standing(deps, noun.name, change.key)
    return await _created(deps, landed, noun, change.key)


async def _create(
    deps: Dependencies, setting: AnySetting, claim: str, looked: claims.Held
) -> Landed:
    try:
        return await _taken_and_made(deps, setting, claim, looked)
    except WrongSequenceError:
        looked = await claims.holder(deps, claim)
    try:  # once more, as it stands in the log: the name was somebody's before
        if looked[0] is None:
            return await _taken_and_made(deps, setting, claim, looked)
    except WrongSequenceError:
        pass
    return await _lost(deps, setting, claim)


async def _taken_and_made(
    deps: Dependencies, setting: AnySetting, claim: str, looked: claims.Held
) -> Landed:
    taking = await claims.taking(deps, claim, setting, looked=looked)
    return await land(deps, taking, Draft(setting, Expect(0)))


async def _lost(deps: Dependencies, setting: AnySetting, claim: str) -> Landed:
    """Why a create did not land: another took the name, or our own earlier try had landed."""
    held, _ = await claims.holder(deps, claim)
    if held not in {None, setting.key}:
        raise _taken(setting.noun)
    return await _standing(deps, setting.noun, setting.key)


async def _standing(deps: Dependencies, noun: str, key: str) -> Landed:
    """Where the thing stands that an earlier request with the same Idempotency-Key has made."""
    last = await deps.bus.last_of(f"cfg.{noun}.{key}")
    if not last:
        raise NameTakenError("the name changed hands at this moment", fix="try again")
    if isinstance(last[-1].message, SettingRemoved):
        raise SpentKeyError(f"the {noun} of this Idempotency-Key was deleted")
    return Landed(seq=last[-1].seq, already=True, visible=await visible(deps, last[-1].seq))


async def _created(deps: Dependencies, landed: Landed, noun: Noun[Any], key: str) -> Answer:
    """201 with the new thing, or 202 while it cannot be read yet."""
    row, location = await _seen(deps, landed, noun, key), noun.location(key)
    if row is None:
        return answer(202, Accepted(id=key, href=location), location, version=landed.seq)
    return answer(201, noun.view(row), location, version=row.version)


async def replace(
    deps: Dependencies, noun: Noun[View], row: Row[Any], setting: AnySetting, name: str
) -> Response[View]:
    """Write the new state over the version in `row`; the claim moves when the name changes.

    Answers 200 with the new state, or 202 while it cannot be read yet.
    """
    drafts = [Draft(setting, Expect(row.version))]
    if name != row.name:
        drafts.append(await claims.taking(deps, claims.claim_key(noun.name, name), setting))
        drafts.append(await claims.freeing(deps, claims.claim_key(noun.name, row.name), setting))
    try:
        landed = await land_over(deps, row, setting, drafts, f"the {noun.name} was changed")
    except WrongSequenceError as error:
        held, _ = await claims.holder(deps, claims.claim_key(noun.name, name))
        if held not in {None, setting.key}:
            raise _taken(noun.name) from error
        raise _changed(noun.name) from error
    return await changed(deps, landed, noun, row.id)


async def remove(deps: Dependencies, noun: Noun[Any], row: Row[Any], caller: Caller) -> None:
    """Write over the version in `row` that the thing is gone, and give its name back."""
    removed = SettingRemoved(**changing(row.id, caller).said_by(), of=noun.name)
    freeing = await claims.freeing(deps, claims.claim_key(noun.name, row.name), removed)
    try:
        drafts = [Draft(removed, Expect(row.version)), freeing]
        await land_over(deps, row, removed, drafts, f"the {noun.name} was removed")
    except WrongSequenceError as error:
        raise _changed(noun.name) from error


async def current(
    deps: Dependencies, noun: Noun[Any], key: Any, request: Request[Any, Any, Any]
) -> Row[Any]:
    """The row that If-Match names; raises when it is missing (428) or another version (412)."""
    return at_version(noun, await row_of(deps, noun, key), request)


def at_version(noun: Noun[Any], row: Row[Any], request: Request[Any, Any, Any]) -> Row[Any]:
    """`row`, when it is the version that If-Match names; raises like `current`."""
    header = request.headers.get("if-match")
    if header is None:
        raise PreconditionRequiredError(f"changing a {noun.name} needs If-Match")
    if header.strip() != f'"{row.version}"':
        raise _changed(noun.name)
    return row


async def changed(deps: Dependencies, landed: Landed, noun: Noun[View], key: Any) -> Response[Any]:
    """200 with the new state, or 202 while it cannot be read yet."""
    row = await _seen(deps, landed, noun, key)
    if row is not None:
        return shown(row, noun)
    location = noun.location(key)
    return Response(
        Accepted(id=str(key), href=location),
        status_code=202,
        headers={"Location": location, "ETag": f'"{landed.seq}"'},
    )


def shown(row: Row[Any], noun: Noun[View]) -> Response[View]:
    """200 with the thing and its ETag."""
    return Response(noun.view(row), status_code=200, headers={"ETag": f'"{row.version}"'})


async def _seen(deps: Dependencies, landed: Landed, noun: Noun[Any], key: Any) -> Row[Any] | None:
    if not landed.visible:
        return None
    return await seen(deps, select(noun.table).where(noun.table.c.id == key))


def missing(noun: Noun[Any]) -> NotFoundError:
    return NotFoundError(f"there is no {noun.name} with this id", fix=f"see {noun.path}")


def _taken(noun: str) -> NameTakenError:
    return NameTakenError(f"another {noun} has this name already")


def _changed(noun: str) -> PreconditionFailedError:
    return PreconditionFailedError(f"the {noun} is no longer at the version in If-Match")
