"""How many requests of one caller are let through, on this replica."""

from __future__ import annotations

import math
from collections import OrderedDict

import msgspec

MOST_REMEMBERED = 20_000
WINDOW_S = 60.0


class Rate(msgspec.Struct, frozen=True):
    """What a caller may still do: of `limit` a minute `left` remain; all again in `reset_s`."""

    limit: int
    left: int
    reset_s: int
    refused: bool = False

    def headers(self) -> dict[str, str]:
        """The RateLimit headers."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.left),
            "RateLimit-Reset": str(self.reset_s),
        }


class Rates:
    """A bucket per caller that holds `limit` requests and fills again within a minute."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, limit: int, at: float) -> Rate:
        """Count one request of `caller` at the time `at`."""
        level, seen = self._buckets.get(caller, (float(limit), at))
        level = min(float(limit), level + (at - seen) * limit / WINDOW_S)
        refused = level < 1.0
        if not refused:
            level -= 1.0
        self._buckets[caller] = (level, at)
        self._buckets.move_to_end(caller)
        while len(self._buckets) > MOST_REMEMBERED:
            self._buckets.popitem(last=False)
        missing = (1.0 if refused else limit) - level
        return Rate(limit, int(level), math.ceil(missing * WINDOW_S / limit), refused)
