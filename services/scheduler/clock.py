"""The two times the scheduler knows."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The time of day, as other machines see it too."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Seconds that only grow: for how long something lasts."""
        return time.monotonic()


THE_CLOCK = Clock()
