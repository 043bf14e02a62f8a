"""What a policy would keep of the backups there are, page by page, with every reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import func, select

from services.gateway.dependencies import Dependencies
from services.gateway.errors import PreviewTooLargeError
from services.gateway.paging import cursor_of, foreign_cursor, position_of
from shared.readmodel.tables import backups
from shared.retention.history import histories
from shared.retention.policy import Candidate, Verdict, judged, place
from shared.retention.rules import Rules

DATABASES_AT_ONCE = 50
LARGEST = 200_000
LABEL = "preview"

Choice = Callable[[Candidate], bool]


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """A reason: a stable code, and the same for people."""

    code: str
    sentence: str


class Foreseen(msgspec.Struct, frozen=True, kw_only=True):
    """One copy of a backup, and what would become of it; `archive_id` in a further store."""

    backup_id: UUID
    archive_id: UUID | None
    database_id: UUID
    store_id: str
    policy_id: str | None
    taken_at: datetime
    keep: bool
    reasons: list[Why]


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """How many copies of one database's backups would be kept, and how many would expire."""

    database_id: UUID
    kept: int
    expiring: int


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """A page of copies, the newest of a database first, and the totals of its databases.

    A page may be short, even empty, and have a next one.
    """

    items: list[Foreseen]
    databases: list[Totals]
    next_cursor: str | None = None


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What to foresee: the copies that are `shown`; those `under` it are judged by `rules`."""

    limit: int
    shown: Choice = lambda _: True
    rules: Rules | None = None
    under: Choice = lambda _: True
    expiring: bool = False


class Position(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Where a page ended: within a database, or, without a backup, before it."""

    label: str
    database_id: UUID
    taken_at: datetime | None = None
    backup_id: UUID | None = None
    store_id: str = ""


def start_of(deps: Dependencies, cursor: str | None) -> Position | None:
    """Where the page begins; raises InvalidFieldsError for a foreign cursor."""
    if cursor is None:
        return None
    position = position_of(deps.secret, cursor, Position)
    if position.label != LABEL:
        raise foreign_cursor()
    return position


async def preview(
    deps: Dependencies, database_ids: Sequence[UUID], start: Position | None, asked: Question
) -> Preview:
    """A page from `start` on; the databases come sorted, one more than are looked at.

    One database is in memory at a time. Raises PreviewTooLargeError.
    """
    items: list[Foreseen] = []
    totals: list[Totals] = []
    for database_id in database_ids[:DATABASES_AT_ONCE]:
        found = await _judged(deps, database_id, asked)
        kept = sum(one.keep for one in found)
        totals.append(Totals(database_id=database_id, kept=kept, expiring=len(found) - kept))
        wanted = [one for one in found if not (asked.expiring and one.keep)]
        left = _after(wanted, start) if start and start.database_id == database_id else wanted
        some = left[: asked.limit - len(items)]
        items += [_shown(database_id, one) for one in some]
        if len(some) < len(left):
            return Preview(
                items=items, databases=totals, next_cursor=_cursor(deps, database_id, some, start)
            )
    more = database_ids[DATABASES_AT_ONCE : DATABASES_AT_ONCE + 1]
    cursor = cursor_of(deps.secret, LABEL, more[0], None, None, "") if more else None
    return Preview(items=items, databases=totals, next_cursor=cursor)


async def _judged(deps: Dependencies, database_id: UUID, asked: Question) -> list[Verdict]:
    counted = select(func.count().label("standing")).where(
        backups.c.database_id == database_id, backups.c.status == "completed"
    )
    row = await deps.read_model.one(counted)
    if row is not None and row.standing > LARGEST:
        raise PreviewTooLargeError(f"{row.standing} backups stand of the database {database_id}")
    history = (await histories(deps.read_model, [database_id]))[database_id]
    return await asyncio.to_thread(_verdicts, history, asked, deps.clock())


def _verdicts(history: list[Candidate], asked: Question, at: datetime) -> list[Verdict]:
    rules = asked.rules
    if rules is not None:
        history = [
            msgspec.structs.replace(one, rules=rules) if asked.under(one) else one
            for one in history
        ]
    return [one for one in judged(history, at).verdicts if asked.shown(one.candidate)]


def _after(verdicts: Sequence[Verdict], start: Position) -> list[Verdict]:
    if start.taken_at is None or start.backup_id is None:
        return list(verdicts)
    last = place(
        Candidate(backup_id=start.backup_id, store_id=start.store_id, taken_at=start.taken_at)
    )
    return [one for one in verdicts if place(one.candidate) > last]


def _cursor(
    deps: Dependencies, database_id: UUID, some: Sequence[Verdict], start: Position | None
) -> str:
    """Behind the last copy that was shown; where none was, the database begins the next page."""
    if some:
        last = some[-1].candidate
        where = (last.taken_at, last.backup_id, last.store_id)
        return cursor_of(deps.secret, LABEL, database_id, *where)
    if start is not None and start.database_id == database_id:
        where_before = (start.taken_at, start.backup_id, start.store_id)
        return cursor_of(deps.secret, LABEL, database_id, *where_before)
    return cursor_of(deps.secret, LABEL, database_id, None, None, "")


def _shown(database_id: UUID, one: Verdict) -> Foreseen:
    candidate = one.candidate
    return Foreseen(
        backup_id=candidate.backup_id,
        archive_id=candidate.archive_id,
        database_id=database_id,
        store_id=candidate.store_id,
        policy_id=candidate.rules.id or None if candidate.rules else None,
        taken_at=candidate.taken_at,
        keep=one.keep,
        reasons=[Why(code=reason.code, sentence=reason.sentence) for reason in one.reasons],
    )
