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
from services.gateway.listening import Asked, Listener
from services.gateway.live import Cursor, LiveEvent, ResyncNeeded
from services.gateway.rights import Right

RETRY_MS = 2000

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
    asked = Asked(frozenset(filter(None, topics.split(","))), run)
    return ServerSentEvent(_messages(deps, cursor, Listener(deps.identities, caller, asked)))


async def _messages(
    deps: Dependencies, cursor: Cursor | None, listener: Listener
) -> AsyncIterator[ServerSentEventMessage]:
    """What the listener hears, until their session ends or they may not listen any more."""
    start = cursor or deps.live.cursor
    yield ServerSentEventMessage(event="ready", id=str(start), data="{}", retry=RETRY_MS)
    try:
        async for event in _heard(deps, start, listener):
            yield _message(event)
    except ResyncNeeded as needed:
        yield ServerSentEventMessage(event="resync", id=str(needed.cursor), data="{}")
        async for event in _heard(deps, needed.cursor, listener):
            yield _message(event)


async def _heard(
    deps: Dependencies, start: Cursor, listener: Listener
) -> AsyncIterator[LiveEvent | None]:
    async for event in deps.live.listen(start, listener.stirs):
        if not await listener.may_go_on():
            return
        if event is None or listener.hears(event):  # their rights may just have shrunk
            yield event


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
