"""Whether runs are dispatched."""

from __future__ import annotations

from collections.abc import Iterator

from services.auditor.projection.change import Change, Projections, new_row
from shared.messages.facts import DispatchPaused, DispatchResumed
from shared.readmodel.tables import dispatch


def changed(event: DispatchPaused | DispatchResumed, seq: int) -> Iterator[Change]:
    """What was said last is how it is."""
    row = new_row(
        dispatch,
        id=event.of,
        paused=isinstance(event, DispatchPaused),
        reason=event.reason,
        actor=event.actor,
        changed_at=event.at,
        version=seq,
    )
    yield Change(dispatch, (event.of,), lambda _: row)


PROJECTIONS: Projections = {DispatchPaused: changed, DispatchResumed: changed}
