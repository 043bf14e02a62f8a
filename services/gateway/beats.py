"""Which processes of the platform live, from their signs of life."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable

from shared.bus import Bus
from shared.bus.base import Entry

SILENT_AFTER_S = 20.0
"""Four beats: who did not beat between two looks so far apart is gone, though its last beat is kept
for ten minutes."""


class Beats:
    """Remembers each beat that it saw and since when; no clock of another machine matters."""

    def __init__(self, bus: Bus, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._bus, self._monotonic_s = bus, monotonic_s
        self._seen: dict[str, tuple[int, float]] = {}

    async def alive(self) -> list[Entry]:
        """The last beat of each process, by service, unless it is known to be an old one."""
        bucket = self._bus.kv("beats")
        keys = sorted(await bucket.keys("service."))
        found = await asyncio.gather(*(bucket.get(key) for key in keys))
        return self._new([one for one in found if one is not None and one.value])

    def _new(self, beats: Iterable[Entry]) -> list[Entry]:
        now, before, self._seen = self._monotonic_s(), self._seen, {}
        living = []
        for one in beats:
            revision, since = before.get(one.key, (0, now))
            if revision != one.revision:
                revision, since = one.revision, now
            self._seen[one.key] = revision, since
            if now - since < SILENT_AFTER_S:
                living.append(one)
        return living
