"""How long the scheduler tries to dispatch a run before it says that it failed."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from services.scheduler.state import Run
from shared.errors import PlatformError
from shared.stores.base import StoreError

TRY_AGAIN_S = 2.0
GIVE_UP_S = 60.0

_SOMEBODY_WAITS = frozenset({"test", "discovery"})


class Patience:
    """Remembers, per run, since when it cannot be dispatched. All times are monotonic seconds."""

    def __init__(self) -> None:
        self._since: dict[UUID, float] = {}
        self._last: dict[UUID, float] = {}

    def failed(self, run: Run, error: PlatformError, now_s: float) -> bool:
        """Note a retryable failure; whether to give the run up because of it.

        A backup waits for its pool and for the platform itself as long as it takes. A store that
        does not answer, and a test that somebody waits for, end after GIVE_UP_S.
        """
        since = self._since.setdefault(run.run_id, now_s)
        self._last[run.run_id] = now_s
        mortal = isinstance(error, StoreError) or run.kind in _SOMEBODY_WAITS
        return mortal and now_s - since >= GIVE_UP_S

    def may_try(self, run_id: UUID, now_s: float) -> bool:
        """Whether the last failure is long enough ago."""
        return now_s - self._last.get(run_id, -TRY_AGAIN_S) >= TRY_AGAIN_S

    def only(self, run_ids: Collection[UUID]) -> None:
        """Forget every other run."""
        self._since = {key: at for key, at in self._since.items() if key in run_ids}
        self._last = {key: at for key, at in self._last.items() if key in run_ids}
