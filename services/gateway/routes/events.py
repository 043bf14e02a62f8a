"""Live events, as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

import msgspec
from litestar import Request, get
from litestar.params import QueryParameter
from litestar.response import ServerSentEvent
from litestar.response.sse import ServerSentEventMessage

from services.gateway.dependencies import Dependencies
from services.gateway.injection import Deps, Who
from services.gateway.live import Cursor, LiveEvent, ResyncNeeded, Wanted
from services.gateway.rights import Right, may
from shared.bus.base import LOGS
from shared.messages.values import Role

RETRY_MS = 2000
PRIVATE = {"user": Right.USERS_READ, "key": Right.USERS_READ, "log": Right.AUDIT_READ}
"""Nouns that not everybody who hears events may hear of."""

After = Annotated[str, QueryParameter(max_length=60, description="Cursor; as Last-Event-ID")]
Topics = Annotated[str, QueryParameter(max_length=200, description="Nouns, comma-separated")]
OfRun = Annotated[str, QueryParameter(max_length=64, description="Also the output of this run")]


@get(
    "/events",
    opt={"right": Right.EVENTS_READ},
    tags=["events"],
    operation_id="listen",
    media_type="text/event-stream",
)
async def listen(  # noqa: PLR0913, PLR0917 - an argument per query parameter
    request: Request[Any, Any, Any],
    deps: Deps,
    caller: Who,
    after: After = "",
    topics: Topics = "",
    run: OfRun = "",
) -> ServerSentEvent:
    """What happens, as it happens. Each `id` is a cursor to come back with.

    `resync` says that the cursor is too old: load everything anew, then go on from its `id`.
    Output of runs comes only for `run`, or with the topic `log`.
    """
    cursor = Cursor.read(request.headers.get("last-event-id") or after)
    wanted = _wanted(caller.role, frozenset(filter(None, topics.split(","))), run)
    return ServerSentEvent(_messages(deps, cursor, wanted))


def _wanted(role: Role, topics: frozenset[str], run: str) -> Wanted:
    def wanted(event: LiveEvent) -> bool:
        if event.stream == LOGS:
            return "log" in topics or bool(run and event.run_id == run)
        if event.noun in PRIVATE and not may(role, PRIVATE[event.noun]):
            return False
        if topics:
            return event.noun in topics
        return not run or event.run_id == run

    return wanted


async def _messages(
    deps: Dependencies, cursor: Cursor | None, wanted: Wanted
) -> AsyncIterator[ServerSentEventMessage]:
    start = cursor or deps.live.cursor
    yield ServerSentEventMessage(event="ready", id=str(start), data="{}", retry=RETRY_MS)
    try:
        async for event in deps.live.listen(start, wanted):
            yield _message(event)
    except ResyncNeeded as needed:
        yield ServerSentEventMessage(event="resync", id=str(needed.cursor), data="{}")
        async for event in deps.live.listen(needed.cursor, wanted):
            yield _message(event)


def _message(event: LiveEvent | None) -> ServerSentEventMessage:
    if event is None:
        return ServerSentEventMessage(comment="quiet", data=None)
    data = {"type": event.type, "subject": event.subject, "event": event.body}
    return ServerSentEventMessage(
        event=event.type, id=str(event.at), data=msgspec.json.encode(data)
    )


ROUTES = [
    listen,
]
