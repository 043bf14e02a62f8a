"""Objectives: how much may be lost, and how every database stands to that."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import get
from litestar.params import QueryParameter
from msgspec import Meta
from sqlalchemy import Row

from services.gateway.configured import Change, Noun
from services.gateway.crud import Crud, routes_of
from services.gateway.dependencies import Dependencies
from services.gateway.injection import Deps, Who
from services.gateway.listing import Cursor, Limit
from services.gateway.objective_ranks import ranked
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.representations import Input, Label, Name, convert
from services.gateway.rights import Right
from shared.messages.settings import ObjectiveSetting
from shared.objectives import Judged, Standing
from shared.readmodel.tables import objectives

TEN_YEARS_S = 315_360_000
_Seconds = Annotated[int, Meta(ge=60, le=TEN_YEARS_S)]
_Labels = Annotated[list[Label], Meta(max_length=1000)]
ByBurn = Annotated[Literal["-burn", "burn"], QueryParameter(description="`-` is the worst first")]
StandingFilter = Annotated[
    Literal["met", "at_risk", "missed"] | None,
    QueryParameter(description="Only databases that stand so"),
]
ObjectiveFilter = Annotated[
    str | None, QueryParameter(max_length=64, description="Only databases under this objective")
]
ServerFilter = Annotated[UUID | None, QueryParameter(description="Only databases of this server")]


class NewObjective(Input, frozen=True, kw_only=True):
    """For the databases that are named, on servers of the groups, or with one of the tags.

    None of the three means all databases. Of several objectives the strictest counts.
    """

    name: Name
    rpo_s: Annotated[_Seconds, Meta(description="How old the last good backup may get")]
    rto_s: Annotated[_Seconds | None, Meta(description="How long a restore may take")] = None
    database_ids: _Labels = []
    group_ids: _Labels = []
    tags: _Labels = []


class ObjectiveView(msgspec.Struct, frozen=True, kw_only=True):
    """An objective."""

    id: str
    name: str
    rpo_s: int
    rto_s: int | None
    database_ids: list[str]
    group_ids: list[str]
    tags: list[str]
    created_at: datetime
    updated_at: datetime
    version: int


class ObjectiveStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a database stands to its objective: `burn` is the share of the time that is over."""

    database_id: UUID
    database: str
    server_id: UUID
    server: str
    objective_id: str
    objective: str
    rpo_s: int
    standing: Standing
    burn: float
    good_at: datetime | None


def objective_of(row: Row[Any]) -> ObjectiveView:
    """A row as the API shows it."""
    return convert(row, ObjectiveView)


async def _setting(
    _deps: Dependencies, change: Change, data: NewObjective, _before: Row[Any] | None
) -> ObjectiveSetting:
    return ObjectiveSetting(**change.said_by(), **msgspec.structs.asdict(data))


@get(
    "/objectives/status",
    opt={"right": Right.OBJECTIVES_READ},
    tags=["objectives"],
    operation_id="list_objective_status",
)
async def list_status(  # noqa: PLR0913, PLR0917 - an argument per query parameter
    deps: Deps,
    caller: Who,
    standing: StandingFilter = None,
    objective_id: ObjectiveFilter = None,
    server_id: ServerFilter = None,
    sort: ByBurn = "-burn",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[ObjectiveStatus]:
    """List the databases that are under an objective; those that are worst off come first.

    Every page stands as of the moment of the first: what burns meanwhile changes no place.
    """
    found = await ranked(deps, caller, sort, cursor, server_id)
    wanted = [
        one
        for one in found.behind
        if standing in {None, one.standing.value} and objective_id in {None, one.objective.id}
    ]
    shown = wanted[:limit]
    more = len(wanted) > limit
    return Page(
        items=[_status(one) for one in shown],
        next_cursor=found.after(deps, shown[-1]) if more else None,
    )


def _status(one: Judged) -> ObjectiveStatus:
    return ObjectiveStatus(
        database_id=one.database.id,
        database=one.database.name,
        server_id=one.database.server_id,
        server=one.database.server,
        objective_id=one.objective.id,
        objective=one.objective.name,
        rpo_s=one.objective.rpo_s,
        standing=one.standing,
        burn=round(one.burn, 3),
        good_at=one.database.good_at,
    )


ROUTES = [
    list_status,
    *routes_of(
        Crud(
            noun=Noun("objective", objectives, "/objectives", objective_of),
            plural="objectives",
            tag="objectives",
            given=NewObjective,
            shown=ObjectiveView,
            read=Right.OBJECTIVES_READ,
            write=Right.OBJECTIVES_WRITE,
            setting=_setting,
            says={
                "list": "List the objectives by name.",
                "create": "Set an objective; from now on it is watched.",
                "get": "Show one objective.",
                "replace": "Replace an objective.",
                "delete": "Delete an objective.",
            },
        )
    ),
]
