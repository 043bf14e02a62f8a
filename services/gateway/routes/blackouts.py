"""Blackouts: windows in which the schedules that name them start nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Row, select

from services.gateway.configured import Change, Noun
from services.gateway.crud import Crud, routes_of
from services.gateway.dependencies import Dependencies
from services.gateway.errors import InUseError
from services.gateway.representations import Input, Name, convert
from services.gateway.rights import Right
from services.gateway.schedule_inputs import CronText, ZoneName, refuse_bad_times
from shared.messages.settings import BlackoutSetting
from shared.readmodel.tables import blackouts, schedules
from shared.timetable.blackouts import LONGEST_MINUTES


class NewBlackout(Input, frozen=True, kw_only=True):
    """A window: it opens at each `cron` time and closes `minutes` later."""

    name: Name
    cron: CronText
    time_zone: ZoneName = "UTC"
    minutes: Annotated[int, Meta(ge=1, le=LONGEST_MINUTES)]
    enabled: bool = True


class BlackoutWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A blackout."""

    id: str
    name: str
    cron: str
    time_zone: str
    minutes: int
    enabled: bool
    created_at: datetime
    updated_at: datetime
    version: int


def blackout_of(row: Row[Any]) -> BlackoutWindow:
    """A row as the API shows it."""
    return convert(row, BlackoutWindow)


async def _setting(
    _deps: Dependencies, change: Change, data: NewBlackout, _before: Row[Any] | None
) -> BlackoutSetting:
    refuse_bad_times(data.cron, data.time_zone)
    return BlackoutSetting(**change.said_by(), **msgspec.structs.asdict(data))


async def _unused(deps: Dependencies, row: Row[Any]) -> None:
    named = select(schedules.c.id).where(schedules.c.blackout_ids.contains([row.id])).limit(1)
    if await deps.read_model.one(named) is not None:
        raise InUseError("a schedule names this blackout", fix="take it off its schedules")


ROUTES = routes_of(
    Crud(
        noun=Noun("blackout", blackouts, "/blackouts", blackout_of),
        plural="blackouts",
        tag="schedules",
        given=NewBlackout,
        shown=BlackoutWindow,
        read=Right.BLACKOUTS_READ,
        write=Right.BLACKOUTS_WRITE,
        setting=_setting,
        removable=_unused,
        says={
            "list": "List the blackouts by name.",
            "create": "Make a window in which the schedules that name it start nothing.",
            "get": "Show one blackout.",
            "replace": "Replace a blackout.",
            "delete": "Delete a blackout that no schedule names.",
        },
    )
)
