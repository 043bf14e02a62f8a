"""Sign-ins that did not succeed, counted."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress

from services.gateway.errors import TooManyAttemptsError

ATTEMPTS, WITHIN_S = 10, 300.0
MOST_REMEMBERED = 10_000


class Attempts:
    """Sign-ins per account that did not succeed yet, on this replica: slows guessing, spares the
    hashing, and keeps the log short."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, list[float]] = OrderedDict()

    def admit(self, claim: str, at: float) -> None:
        """Count one more; raises TooManyAttemptsError while there are too many."""
        since = at - WITHIN_S
        recent = [moment for moment in self._failed.get(claim, ()) if moment > since]
        if len(recent) >= ATTEMPTS:
            raise TooManyAttemptsError("too many failed sign-ins for this address")
        self._failed[claim] = [*recent, at]
        self._failed.move_to_end(claim)
        while len(self._failed) > MOST_REMEMBERED:
            self._failed.popitem(last=False)

    def succeeded(self, claim: str, at: float) -> None:
        """Take back what `admit` counted at `at`."""
        with suppress(KeyError, ValueError):  # forgotten meanwhile
            self._failed[claim].remove(at)
