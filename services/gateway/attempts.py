"""Failed sign-ins, counted."""

from __future__ import annotations

from collections import OrderedDict

from services.gateway.errors import TooManyAttemptsError

ATTEMPTS, WITHIN_S = 10, 300.0
MOST_REMEMBERED = 10_000


class Attempts:
    """Failed sign-ins per account, on this replica: slows guessing, and keeps the log short."""

    def __init__(self) -> None:
        self._failed: OrderedDict[str, list[float]] = OrderedDict()

    def admit(self, claim: str, at: float) -> None:
        """Raise TooManyAttemptsError while the account has failed too often."""
        since = at - WITHIN_S
        recent = [moment for moment in self._failed.get(claim, ()) if moment > since]
        if len(recent) >= ATTEMPTS:
            raise TooManyAttemptsError("too many failed sign-ins for this address")

    def failed(self, claim: str, at: float) -> None:
        """Remember a failed sign-in."""
        self._failed.setdefault(claim, []).append(at)
        self._failed[claim] = self._failed[claim][-ATTEMPTS:]
        self._failed.move_to_end(claim)
        while len(self._failed) > MOST_REMEMBERED:
            self._failed.popitem(last=False)
