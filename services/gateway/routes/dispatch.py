"""Whether runs begin at all: paused as a whole, and resumed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import get, post
from litestar.params import JSONBody
from msgspec import Meta
from sqlalchemy import select

from services.gateway.appending import land
from services.gateway.dependencies import Dependencies
from services.gateway.injection import Deps, Who
from services.gateway.representations import convert
from services.gateway.rights import Right
from shared.bus import Draft
from shared.messages.facts import DispatchPaused, DispatchResumed
from shared.messages.facts.dispatch import EVERYWHERE
from shared.readmodel.tables import dispatch

Reason = Annotated[str, Meta(min_length=1, max_length=300, description="It stands in the log")]


class PauseInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why nothing is to begin."""

    reason: Reason


class Dispatch(msgspec.Struct, frozen=True, kw_only=True):
    """Whether backups, restores and commands begin; `reason`, `actor` and `changed_at` are of the
    last pause or resumption, and absent before the first."""

    paused: bool = False
    reason: str = ""
    actor: str | None = None
    changed_at: datetime | None = None


async def dispatch_now(deps: Dependencies) -> Dispatch:
    """As the read model has it."""
    row = await deps.read_model.one(select(dispatch).where(dispatch.c.id == EVERYWHERE))
    return convert(row, Dispatch) if row else Dispatch()


@get("/dispatch", opt={"right": Right.RUNS_READ}, tags=["runs"], operation_id="get_dispatch")
async def get_dispatch(deps: Deps) -> Dispatch:
    """Show whether runs begin, and if not, why."""
    return await dispatch_now(deps)


@post(
    "/dispatch/pause",
    opt={"right": Right.DISPATCH_PAUSE},
    tags=["runs"],
    operation_id="pause_dispatch",
    status_code=200,
)
async def pause_dispatch(data: JSONBody[PauseInput], deps: Deps, caller: Who) -> Dispatch:
    """Let no backup, restore or command begin until dispatch is resumed; those that run go on.

    What is asked for meanwhile waits. Of the slots that a schedule misses its own policy decides.
    """
    said = DispatchPaused(reason=data.reason, actor=caller.actor, request_id=caller.request_id)
    await land(deps, Draft(said))
    return Dispatch(paused=True, reason=said.reason, actor=said.actor, changed_at=said.at)


@post(
    "/dispatch/resume",
    opt={"right": Right.DISPATCH_PAUSE},
    tags=["runs"],
    operation_id="resume_dispatch",
    status_code=200,
)
async def resume_dispatch(deps: Deps, caller: Who) -> Dispatch:
    """Let runs begin again."""
    now = await dispatch_now(deps)
    if not now.paused:
        return now
    said = DispatchResumed(actor=caller.actor, request_id=caller.request_id)
    await land(deps, Draft(said))
    return Dispatch(actor=said.actor, changed_at=said.at)


ROUTES = [
    get_dispatch,
    pause_dispatch,
    resume_dispatch,
]
