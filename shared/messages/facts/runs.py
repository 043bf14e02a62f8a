"""Facts about runs."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from shared.messages.base import Fact, Key


class RunFact(Fact, frozen=True, kw_only=True):
    """About one run."""

    KEYED_BY: ClassVar[str] = "run_id"
    run_id: UUID


class RunDispatched(RunFact, frozen=True, kw_only=True):
    """The scheduler gave the run to a pool. Expects 0: no run is dispatched twice."""

    kind: str
    run_pool: Key
    order_id: UUID


class RunCancelRequested(RunFact, frozen=True, kw_only=True):
    """Somebody wants the run stopped; said on the pool that works on it."""
