"""Live events, as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from litestar import Request, get
from litestar.params import QueryParameter
from litestar.response import Stream
from litestar.response.sse import ServerSentEventMessage

from services.gateway.dependencies import Dependencies
from services.gateway.injection import Deps, Who
from services.gateway.listening import Asked, Listener
from services.gateway.live import Cursor, ResyncNeeded
from services.gateway.rights import Right

RETRY_MS = 2000
QUIET = ServerSentEventMessage(comment="quiet", data=None).encode()

After = Annotated[str, QueryParameter(max_length=60, description="Cursor; as Last-Event-ID")]
Topics = Annotated[str, QueryParameter(max_length=200, description="Nouns, comma-separated")]
OfRun = Annotated[str, QueryParameter(max_length=64, description="Also the output of this run")]

Progress = Annotated[bool, QueryParameter(description="Also the progress of every run")]
LogsOf = Annotated[
    str,
    QueryParameter(max_length=400, description="Also the output of these runs, comma-separated"),
]


@get(
    "/events",
    opt={"right": Right.EVENTS_READ},
    tags=["events"],
    operation_id="listen",
    response_description="Events, as they happen",
    media_type="text/event-stream",
)
async def listen(  # noqa: PLR0913, PLR0917 - an argument per query parameter
    request: Request[Any, Any, Any],
    deps: Deps,
    caller: Who,
    after: After = "",
    topics: Topics = "",
    run: OfRun = "",
    progress: Progress = False,
    logs_of: LogsOf = "",
) -> Stream:
    """What happens, as it happens. Each `id` is a cursor to come back with.

    `resync` says that the cursor is too old: load everything anew, then go on from its `id`.
    Output of runs comes only for `run` and `logs_of`, or with the topic `log`.
    """
    cursor = Cursor.read(request.headers.get("last-event-id") or after)
    asked = Asked(_names(topics), run, progress, _names(logs_of))
    return Stream(
        messages(deps, cursor, Listener(deps.identities, caller, asked)),
        media_type="text/event-stream",
        headers={"x-accel-buffering": "no"},
    )


def _names(listed: str) -> frozenset[str]:
    return frozenset(filter(None, listed.split(",")))


async def messages(
    deps: Dependencies, cursor: Cursor | None, listener: Listener
) -> AsyncIterator[bytes]:
    """What the listener hears, until their session ends or they may not listen any more."""
    start = cursor or deps.live.cursor
    ready = ServerSentEventMessage(event="ready", id=str(start), data="{}", retry=RETRY_MS)
    yield ready.encode()
    try:
        async for framed in _heard(deps, start, listener):
            yield framed
    except ResyncNeeded as needed:
        yield ServerSentEventMessage(event="resync", id=str(needed.cursor), data="{}").encode()
        async for framed in _heard(deps, needed.cursor, listener):
            yield framed


async def _heard(deps: Dependencies, start: Cursor, listener: Listener) -> AsyncIterator[bytes]:
    async for event in deps.live.listen(start, listener.stirs):
        if listener.is_due:
            if not await listener.may_go_on():
                return
            if event is not None and not listener.hears(event):  # their rights have just shrunk
                continue
        yield QUIET if event is None else event.framed


ROUTES = [
    listen,
]
