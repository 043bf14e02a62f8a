"""Applies events to the read model inside a transaction, and marks those that do not fit it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec
import structlog

from services.auditor.ledger import Record
from services.auditor.projection import changes_of
from services.auditor.projection.change import Change
from services.auditor.rows import apply

_UNFIT = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    *(ArithmeticError, AttributeError, LookupError, TypeError, ValueError, msgspec.MsgspecError),
)
"""What one strange event can cause, and the same event again tomorrow."""


async def projected(connection: Any, records: Sequence[Record]) -> list[Record]:
    """Apply the records in order; one that cannot be applied changes nothing and is marked."""
    try:
        async with connection.transaction():
            await apply(connection, _changes(records))
    except _UNFIT:
        return [await _projected_alone(connection, record) for record in records]
    return list(records)


async def _projected_alone(connection: Any, record: Record) -> Record:
    try:
        async with connection.transaction():
            await apply(connection, _changes([record]))
    except _UNFIT as error:
        kind = type(error).__name__
        structlog.get_logger().error("unprojectable", seq=record.event.seq, kind=kind)
        return record.without_message()
    return record


def _changes(records: Sequence[Record]) -> list[Change]:
    return [
        change
        for record in records
        if record.message is not None
        for change in changes_of(record.message, record.event.seq)
    ]
