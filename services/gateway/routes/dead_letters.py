"""Dead letters: what a handler gave up, and handing it over once more."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, QueryParameter

from services.gateway.appending import land
from services.gateway.dependencies import Dependencies
from services.gateway.injection import Deps, Who
from services.gateway.listing import Cursor, Limit
from services.gateway.live import without_sealed
from services.gateway.paging import DEFAULT_LIMIT, Page, cursor_of, position_of
from services.gateway.representations import Accepted
from services.gateway.rights import Right
from shared.bus import Delivery, Draft, Expect, WrongSequenceError
from shared.bus.deadletters import CAUSE, DURABLE, REASON, SEQ, STREAM, SUBJECT
from shared.errors import NotFoundError
from shared.messages.facts import LetterRetried

DurableFilter = Annotated[
    str | None, QueryParameter(max_length=64, description="Only what this handler gave up")
]
_LABEL = "dlq"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that a handler gave up: who, why, and where the message stands."""

    seq: int
    at: datetime
    durable: str
    reason: str
    cause: str
    stream: str
    subject: str
    original_seq: int


class DeadLetterDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter with what it says, without anything sealed."""

    letter: DeadLetter
    said: dict[str, Any]


@get("/dlq", opt={"right": Right.DLQ_READ}, tags=["system"], operation_id="list_dead_letters")
async def list_dead_letters(
    deps: Deps,
    durable: DurableFilter = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[DeadLetter]:
    """List the dead letters that nobody retried yet, the oldest first."""
    behind = position_of(deps.secret, cursor, tuple[str, int])[1] if cursor is not None else 0
    letters = [
        letter
        for letter in await deps.bus.dead_letters()
        if letter.seq > behind and durable in {None, letter.headers.get(DURABLE)}
    ]
    more = len(letters) > limit
    shown = letters[:limit]
    return Page(
        items=[_letter(letter) for letter in shown],
        next_cursor=cursor_of(deps.secret, _LABEL, shown[-1].seq) if more else None,
    )


@get(
    "/dlq/{seq:int}",
    opt={"right": Right.DLQ_READ},
    tags=["system"],
    operation_id="get_dead_letter",
)
async def get_dead_letter(seq: FromPath[int], deps: Deps) -> DeadLetterDetail:
    """Show a dead letter and what it says."""
    letter = await _waiting(deps, seq)
    try:
        said = msgspec.json.decode(letter.data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = {}
    said.pop("sealed", None)  # of an order: what only its worker can open
    return DeadLetterDetail(letter=_letter(letter), said=without_sealed(said))


@post(
    "/dlq/{seq:int}/retry",
    opt={"right": Right.DLQ_WRITE},
    tags=["system"],
    operation_id="retry_dead_letter",
    status_code=202,
)
async def retry_dead_letter(seq: FromPath[int], deps: Deps, caller: Who) -> Response[Accepted]:
    """Hand a dead letter to its handler once more. If it fails again, it is a new letter."""
    letter = await _waiting(deps, seq)
    durable = letter.headers[DURABLE]
    retried = LetterRetried(
        letter=seq, durable=durable, actor=caller.actor, request_id=caller.request_id
    )
    with suppress(WrongSequenceError):  # said before: the retry itself is stored only once
        await land(deps, Draft(retried, Expect(0)))
    await deps.bus.replay(durable, letter=seq)
    return Response(Accepted(id=str(seq), href="/api/v1/dlq"), status_code=202)


async def _waiting(deps: Dependencies, seq: int) -> Delivery:
    for letter in await deps.bus.dead_letters():
        if letter.seq == seq:
            return letter
    raise NotFoundError("no dead letter with this number waits", fix="see /dlq")


def _letter(letter: Delivery) -> DeadLetter:
    headers = letter.headers
    return DeadLetter(
        seq=letter.seq,
        at=letter.at,
        durable=headers.get(DURABLE, ""),
        reason=headers.get(REASON, ""),
        cause=headers.get(CAUSE, ""),
        stream=headers.get(STREAM, ""),
        subject=headers.get(SUBJECT, ""),
        original_seq=int(headers.get(SEQ, "0")),
    )


ROUTES = [
    list_dead_letters,
    get_dead_letter,
    retry_dead_letter,
]
