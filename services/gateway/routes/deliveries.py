"""Deliveries: what was sent to whom, test notes, and telling something again."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from sqlalchemy import Row, select
from uuid_utils.compat import uuid7

from services.gateway import configured
from services.gateway.appending import land
from services.gateway.callers import Caller
from services.gateway.configured import Noun
from services.gateway.dependencies import Dependencies
from services.gateway.errors import NotRepeatableError
from services.gateway.injection import Deps, Who
from services.gateway.listing import Cursor, Limit, Window, listed
from services.gateway.once import Answer, answer, once
from services.gateway.paging import DEFAULT_LIMIT, Page
from services.gateway.representations import Accepted, Input, convert
from services.gateway.rights import Right
from services.gateway.routes.channels import CHANNEL
from shared.bus import Draft, Expect
from shared.bus.base import EVENTS
from shared.messages.base import consequence
from shared.messages.facts import ChannelTestRequested, RedeliveryRequested
from shared.messages.facts.notifications import NotificationFact
from shared.messages.values import Problem
from shared.readmodel.tables import notifications

PATH = "/notifications/deliveries"
ANSWER_WITHIN_S = 15.0

Status = Literal["requested", "sent", "failed"]
ChannelFilter = Annotated[
    str | None, QueryParameter(max_length=64, description="Only deliveries to this channel")
]
StatusFilter = Annotated[Status | None, QueryParameter(description="Only deliveries in this state")]
TypeFilter = Annotated[
    str | None, QueryParameter(max_length=64, description="Only of facts of this type")
]
ByWhen = Annotated[Literal["-at", "at"], QueryParameter(description="`-` is the newest first")]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery. `facts` of them in one message; `redelivery_of` an earlier one, told again."""

    id: UUID
    channel_id: str
    fact_id: UUID
    fact_type: str
    purpose: str
    facts: int
    status: Status
    tries: int
    problem: Problem | None = None
    redelivery_of: UUID | None = None
    at: datetime
    version: int


class TestWanted(Input, frozen=True, kw_only=True):
    """Which channel to test."""

    __test__ = False  # no test of pytest's

    channel_id: UUID


class TestResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a test note ended."""

    __test__ = False  # as above

    ok: bool
    problem: Problem | None = None
    delivery_id: str


def delivery_of(row: Row[Any]) -> Delivery:
    """A row as the API shows it."""
    return convert(row, Delivery)


DELIVERY = Noun("delivery", notifications, PATH, delivery_of)


@get(
    PATH,
    opt={"right": Right.NOTIFICATIONS_READ},
    tags=["notifications"],
    operation_id="list_deliveries",
)
async def list_deliveries(  # noqa: PLR0913, PLR0917 - an argument per query parameter
    deps: Deps,
    channel_id: ChannelFilter = None,
    status: StatusFilter = None,
    fact_type: TypeFilter = None,
    sort: ByWhen = "-at",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Delivery]:
    """List deliveries, the newest first."""
    query = select(notifications)
    wanted = {"channel_id": channel_id, "status": status, "fact_type": fact_type}
    for name, value in wanted.items():
        if value is not None:
            query = query.where(notifications.c[name] == value)
    window = Window(
        column=notifications.c.at,
        id_column=notifications.c.id,
        kind=tuple[str, datetime, UUID],
        limit=limit,
        cursor=cursor,
        descending=sort.startswith("-"),
    )
    return await listed(deps, query, window, delivery_of)


@get(
    PATH + "/{delivery_id:uuid}",
    opt={"right": Right.NOTIFICATIONS_READ},
    tags=["notifications"],
    operation_id="get_delivery",
)
async def get_delivery(delivery_id: FromPath[UUID], deps: Deps) -> Response[Delivery]:
    """Show one delivery."""
    return configured.shown(await configured.row_of(deps, DELIVERY, delivery_id), DELIVERY)


@post(
    PATH + "/{delivery_id:uuid}/redeliver",
    opt={"right": Right.NOTIFICATIONS_TEST},
    tags=["notifications"],
    operation_id="redeliver",
    status_code=202,
)
async def redeliver(
    delivery_id: FromPath[UUID], request: Request[Any, Any, Any], deps: Deps, caller: Who
) -> Response[Accepted]:
    """Tell again what a delivery told; the receiver sees the id of the first one."""
    row = await configured.row_of(deps, DELIVERY, delivery_id)
    if row.purpose in {"test", "digest"}:
        raise NotRepeatableError(f"a {row.purpose} tells no fact that could be told again")
    await configured.row_of(deps, CHANNEL, row.channel_id)

    async def create(thing: UUID) -> Answer:
        wish = RedeliveryRequested(
            id=consequence(thing, "first"),
            redelivery_id=thing,
            notification_id=row.redelivery_of or row.id,
            channel_id=row.channel_id,
            fact_id=row.fact_id,
            fact_type=row.fact_type,
            actor=caller.user_id,
            request_id=caller.request_id,
        )
        await land(deps, Draft(wish, Expect(0)))
        location = DELIVERY.location(thing)
        return answer(202, Accepted(id=str(thing), href=location), location)

    return await once(request, deps, caller, create)


@post(
    "/notifications/channels/{channel_id:uuid}/test",
    opt={"right": Right.NOTIFICATIONS_TEST, "later": True},
    tags=["notifications"],
    operation_id="test_channel",
    status_code=200,
)
async def test_channel(channel_id: FromPath[UUID], deps: Deps, caller: Who) -> Response[TestResult]:
    """Send a test note through the channel, whatever its rules say, and tell how that ended."""
    return await _tested(deps, caller, channel_id)


@post(
    "/notifications/test",
    opt={"right": Right.NOTIFICATIONS_TEST, "later": True},
    tags=["notifications"],
    operation_id="test_notification",
    status_code=200,
)
async def test_notification(
    data: JSONBody[TestWanted], deps: Deps, caller: Who
) -> Response[TestResult]:
    """The same as `POST /notifications/channels/{id}/test`."""
    return await _tested(deps, caller, data.channel_id)


async def _tested(deps: Dependencies, caller: Caller, channel_id: UUID) -> Response[Any]:
    await configured.row_of(deps, CHANNEL, str(channel_id))
    wish = ChannelTestRequested(
        channel_id=str(channel_id),
        notification_id=(delivery := uuid7()),
        actor=caller.user_id,
        request_id=caller.request_id,
    )
    said = await _ending(deps, delivery, after_seq=(await deps.bus.append(wish)).seq)
    location = DELIVERY.location(delivery)
    if said is None:
        accepted = Accepted(id=str(delivery), href=location)
        return Response(accepted, status_code=202, headers={"Location": location})
    problem = getattr(said, "problem", None)
    return Response(
        TestResult(ok=problem is None, problem=problem, delivery_id=str(delivery)), status_code=200
    )


async def _ending(deps: Dependencies, delivery: UUID, *, after_seq: int) -> NotificationFact | None:
    subject = f"evt.notification.*.core.{delivery}"
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            async for told in deps.bus.follow(EVENTS, after_seq=after_seq, filters=(subject,)):
                if isinstance(told.message, NotificationFact):
                    return told.message
    except TimeoutError:
        pass
    return None


ROUTES = [
    list_deliveries,
    get_delivery,
    redeliver,
    test_channel,
    test_notification,
]
