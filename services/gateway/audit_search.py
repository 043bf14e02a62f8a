"""What the audit log is searched by, and how often each value occurs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from litestar.di import NamedDependency
from litestar.params import QueryParameter, SkipValidation
from sqlalchemy import ColumnElement, Select, Subquery, and_, func, select, true

from services.gateway.dependencies import Dependencies
from shared.readmodel.tables import audit_logs

Outcome = Literal["ok", "failed", "refused", "unreadable"]
COUNTED = 100_000
"""Facets count the newest entries that match, no more: they show where to look, not how many."""
VALUES = 50

ActorFilter = Annotated[
    str | None, QueryParameter(max_length=200, description="An account's id, or service:<name>")
]
ActionFilter = Annotated[
    str | None, QueryParameter(max_length=200, description="`backup.completed`, or `backup.*`")
]
ObjectFilter = Annotated[
    str | None,
    QueryParameter(name="object", max_length=200, description="`server/<id>`, or `server/*`"),
]
OutcomeFilter = Annotated[Outcome | None, QueryParameter(description="How it ended")]
Since = Annotated[datetime | None, QueryParameter(description="Not before this time")]
Until = Annotated[datetime | None, QueryParameter(description="Before this time")]
RequestFilter = Annotated[
    str | None, QueryParameter(max_length=64, description="What one request caused")
]
AddressFilter = Annotated[
    str | None,
    QueryParameter(max_length=64, description="What came from this peer; needs users.read"),
]


def said_by_whom_when(
    by: ColumnElement[Any],
    at: ColumnElement[Any],
    actor: str | None,
    since: datetime | None,
    until: datetime | None,
) -> Iterator[ColumnElement[bool]]:
    """The conditions for an actor and a span of time; None asks for nothing."""
    if actor is not None:
        yield by == actor
    if since is not None:
        yield at >= since
    if until is not None:
        yield at < until


InternalFilter = Annotated[
    bool,
    QueryParameter(description="false: without what the platform notes for itself, as claims are"),
]
INTERNAL = (
    "archive.requested",
    "archive.rewrapped",
    "backup.attempted",
    "backup.deletion_begun",
    "backup.garbage_deleted",
    "backup.rewrapped",
    "key.rewrapped",
    "restore.attempted",
    "run.dispatched",
)
"""Steps on the way to what is an entry of its own; claims of names besides."""


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What entries must be like; all of it at once."""

    actor: str | None = None
    action: str | None = None
    about: str | None = None
    outcome: Outcome | None = None
    since: datetime | None = None
    until: datetime | None = None
    request_id: str | None = None
    address: str | None = None
    internal: bool = True

    def condition(self) -> ColumnElement[bool]:
        """The condition on `audit_logs`; addresses are sealed, so they are no part of it."""
        table = audit_logs.c
        parts: list[ColumnElement[bool]] = []
        parts += said_by_whom_when(table.actor, table.time, self.actor, self.since, self.until)
        if self.action is not None:
            parts.append(_like(table.action, self.action))
        if self.about is not None:
            parts.append(_like(table.object, self.about))
        if self.outcome is not None:
            parts.append(table.outcome == self.outcome)
        if self.request_id is not None:
            parts.append(table.request_id == self.request_id)
        if not self.internal:
            parts += [table.action.not_like("claim.%"), table.action.not_in(INTERNAL)]
        return and_(true(), *parts)


Searched: TypeAlias = NamedDependency[SkipValidation[Search]]


async def search_of(  # noqa: PLR0913, PLR0917 - an argument per query parameter
    actor: ActorFilter = None,
    action: ActionFilter = None,
    about: ObjectFilter = None,
    outcome: OutcomeFilter = None,
    since: Since = None,
    until: Until = None,
    request_id: RequestFilter = None,
    address: AddressFilter = None,
    internal: InternalFilter = True,
) -> Search:
    """Provides `search`."""
    return Search(
        actor=actor,
        action=action,
        about=about,
        outcome=outcome,
        since=since,
        until=until,
        request_id=request_id,
        address=address,
        internal=internal,
    )


class Count(msgspec.Struct, frozen=True):
    """A value, and in how many of the counted entries it stands."""

    value: str
    count: int


class ActorCount(Count, frozen=True):
    """The same of an actor; `name` is that of an API key, and empty for anybody else."""

    name: str = ""


class Facets(msgspec.Struct, frozen=True, kw_only=True):
    """The most frequent values of each kind, each kind as all other filters leave it: so what else
    could be chosen instead is seen. Of what matches, `counted` entries were looked at, the newest
    ones; `complete` says that there are no more."""

    counted: int
    complete: bool
    actors: list[ActorCount]
    actions: list[Count]
    objects: list[Count]
    outcomes: list[Count]


async def facets(deps: Dependencies, search: Search) -> Facets:
    """Count the values of the entries that match but for the value's own filter; of an object only
    its noun."""
    newest = _newest(search)
    counted = await deps.read_model.one(select(func.count().label("entries")).select_from(newest))
    count = int(counted.entries) if counted else 0
    found = []
    for field, column in (
        ("actor", "actor"),
        ("action", "action"),
        ("about", "noun"),
        ("outcome", "outcome"),
    ):
        others = _newest(msgspec.structs.replace(search, **{field: None}))
        found.append(await _counts(deps, others.c[column]))
    actors, actions, objects, outcomes = found
    return Facets(
        counted=count,
        complete=count < COUNTED,
        actors=[ActorCount(one.value, one.count) for one in actors],
        actions=actions,
        objects=objects,
        outcomes=outcomes,
    )


def _newest(search: Search) -> Subquery:
    table = audit_logs.c
    noun = func.split_part(table.object, "/", 1).label("noun")
    query = select(table.actor, table.action, noun, table.outcome).where(search.condition())
    return query.order_by(table.n.desc()).limit(COUNTED).subquery()


async def _counts(deps: Dependencies, column: ColumnElement[Any]) -> list[Count]:
    times = func.count()
    query: Select[Any] = (
        select(column.label("value"), times.label("times"))
        .group_by(column)
        .order_by(times.desc(), column)
        .limit(VALUES)
    )
    return [Count(row.value, row.times) for row in await deps.read_model.rows(query)]


def _like(column: ColumnElement[str], wanted: str) -> ColumnElement[bool]:
    """Equal, or with `*` at its end: beginning so."""
    if wanted.endswith("*"):
        return column.startswith(wanted[:-1], autoescape=True)
    return column == wanted
