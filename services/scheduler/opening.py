"""How a timetable is opened: from the read model, with what was requested before."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import Row, func, select

from services.scheduler.reach import Host
from services.scheduler.timetable import Timetable
from shared.messages.settings import BlackoutSetting, ScheduleSetting
from shared.messages.values import DatabaseRef, Problem
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import backups, blackouts, databases, dispatch, schedules, servers

READ_AT_ONCE = 500
BREATHE_EVERY = 100
"""Schedules that are read between two pauses: the event loop has leases to renew."""


_log = structlog.get_logger()


class Book(Protocol):
    """Where a timetable is opened from; every method raises UnavailableError while it cannot."""

    async def at_least(self, seq: int) -> None:
        """Wait until the event `seq` is part of the answers."""

    async def opened(self) -> tuple[Timetable, int]:
        """The timetable, and the sequence after which to follow what it is made of."""


class ReadModelBook:
    """Book from Postgres. What is read is as new as the position, or newer: to follow from there
    repeats full states, which changes nothing."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model
        self._settings: dict[str, tuple[int, ScheduleSetting]] = {}

    async def at_least(self, seq: int) -> None:
        await self._read_model.at_least(seq)

    async def opened(self) -> tuple[Timetable, int]:
        seq, table = await self._read_model.position(), Timetable()
        for row in await self._read_model.rows(select(servers)):
            table.reach.put_host(UUID(row.id), _host(row))
        for row in await self._read_model.rows(select(databases)):
            table.reach.put_database(
                DatabaseRef(server_id=row.server_id, endpoint=row.endpoint, name=row.name)
            )
            if row.tags:
                table.reach.put_tags(row.id, row.tags)
        for row in await self._read_model.rows(select(blackouts)):
            with _readable(row):
                table.put_blackout(_setting(row, BlackoutSetting))
        await self._put_schedules(table)
        paused = await self._read_model.one(select(dispatch.c.id).where(dispatch.c.paused))
        table.put_pause(paused=paused is not None)
        return table, seq

    async def _put_schedules(self, table: Timetable) -> None:
        done, columns = await self._last_requested(), schedules.c
        known = select(columns.id, columns.created_at, columns.updated_at, columns.problem)
        await self._read_changed()
        for number, row in enumerate(await self._read_model.rows(known)):
            if number % BREATHE_EVERY == 0:
                await asyncio.sleep(0)
            last, ids = done.get(row.id, (None, ()))
            table.put_problem(row.id, row.problem and msgspec.convert(row.problem, Problem))
            if row.id in self._settings:
                with _readable(row):
                    _, setting = self._settings[row.id]
                    when = {"created": row.created_at, "last": last}
                    table.put_schedule(setting, row.updated_at, **when, done=ids)

    async def _read_changed(self) -> None:
        """Read what this replica did not read before: to take over is a matter of seconds."""
        columns = schedules.c
        found = await self._read_model.rows(select(columns.id, columns.version))
        before, self._settings = self._settings, {}
        changed = []
        for row in found:
            if row.id in before and before[row.id][0] == row.version:
                self._settings[row.id] = before[row.id]
            else:
                changed.append(row.id)
        for start in range(0, len(changed), READ_AT_ONCE):
            some = columns.id.in_(changed[start : start + READ_AT_ONCE])
            for row in await self._read_model.rows(select(schedules).where(some)):
                with _readable(row):
                    self._settings[row.id] = row.version, _setting(row, ScheduleSetting)
            await asyncio.sleep(0)

    async def _last_requested(self) -> dict[str, tuple[Any, list[UUID]]]:
        """By schedule: its last slot that was requested, and of which databases."""
        of_one = backups.alias("of_one")
        newest = (
            select(func.max(of_one.c.slot).label("slot"))
            .where(of_one.c.schedule_id == schedules.c.id)
            .correlate(schedules)
            .lateral("newest")
        )
        query = (
            select(schedules.c.id, backups.c.slot, backups.c.database_id)
            .select_from(schedules)
            .join(newest, newest.c.slot.is_not(None))
            .join(
                backups,
                (backups.c.schedule_id == schedules.c.id) & (backups.c.slot == newest.c.slot),
            )
        )
        found: dict[str, tuple[Any, list[UUID]]] = {}
        for row in await self._read_model.rows(query):
            found.setdefault(row.id, (row.slot, []))[1].append(row.database_id)
        return found


@contextmanager
def _readable(row: Row[Any]) -> Iterator[None]:
    """One setting that nobody can follow stops no other."""
    try:
        yield
    except ValueError:  # msgspec's ValidationError is one
        _log.warning("not_for_the_timetable", key=row.id)


def _host(row: Row[Any]) -> Host:
    return Host(
        pool=row.pool,
        endpoints=frozenset(point["name"] for point in row.endpoints),
        group_ids=frozenset(row.group_ids),
    )


def _setting(row: Row[Any], kind: type[Any]) -> Any:
    """A row as its setting; `id` of the row is the setting's key."""
    columns = {str(name): value for name, value in row._mapping.items()}
    known = {name: columns[name] for name in kind.__struct_fields__ if name in columns}
    return msgspec.convert({**known, "id": UUID(int=0), "key": row.id}, kind)
