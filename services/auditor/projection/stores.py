"""What is learned about stores."""

from __future__ import annotations

from collections.abc import Iterator

from services.auditor.projection.change import Change, Projections, update
from shared.messages.facts import StoreTested
from shared.readmodel.tables import stores


def tested(event: StoreTested, _seq: int) -> Iterator[Change]:
    told = {"tested_at": event.at, "test_problem": event.problem, "free_bytes": event.free_bytes}
    yield Change(stores, (event.store_id,), update(**told))


PROJECTIONS: Projections = {StoreTested: tested}
