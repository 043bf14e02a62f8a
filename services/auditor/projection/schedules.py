"""What is learned about schedules."""

from __future__ import annotations

from collections.abc import Iterator

from services.auditor.projection.change import Change, Projections, update
from shared.messages.facts import ScheduleWarned
from shared.readmodel.tables import schedules


def warned(event: ScheduleWarned, _seq: int) -> Iterator[Change]:
    yield Change(schedules, (event.schedule_id,), update(problem=event.problem))


PROJECTIONS: Projections = {ScheduleWarned: warned}
