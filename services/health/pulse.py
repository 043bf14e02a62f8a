"""Which of the platform's services are down, from their heartbeats."""

from __future__ import annotations

from datetime import datetime

import msgspec

DOWN_AFTER_S = 20.0
"""Four heartbeats: no replica of the service beat for so long."""

GRACE_S = 30.0
"""How long after our own start nobody is called down: the platform starts as a whole."""

BLIND_AFTER_S = 12.0
"""When nobody at all beats, our own beat included, it is we who do not hear."""


class Heartbeat(msgspec.Struct, frozen=True):
    """When a service was last heard: monotonic seconds, and the time of day (None: not by us)."""

    s: float
    at: datetime | None


class Pulse:
    """The last heartbeat of each service that was ever heard."""

    def __init__(self, now_s: float) -> None:
        self._beats: dict[str, Heartbeat] = {}
        self._hearing_since_s = now_s + GRACE_S - DOWN_AFTER_S
        self._newest_s = now_s

    def know(self, service: str, now_s: float) -> None:
        """There is such a service: it beat before we listened."""
        self._beats.setdefault(service, Heartbeat(now_s, None))

    def beat(self, service: str, now_s: float, at: datetime) -> None:
        self._beats[service] = Heartbeat(now_s, at)
        self._newest_s = now_s

    def down(self, now_s: float) -> dict[str, datetime | None]:
        """The services that are down, and when each was last heard.

        After a time in which nobody was heard, everybody gets the whole time anew.
        """
        if now_s - self._newest_s >= BLIND_AFTER_S:
            self._hearing_since_s = max(self._hearing_since_s, now_s)
        return {
            name: last.at
            for name, last in self._beats.items()
            if now_s - max(last.s, self._hearing_since_s) >= DOWN_AFTER_S
        }

    def up(self, now_s: float) -> set[str]:
        """The services that beat lately, as heard by us."""
        return {
            name
            for name, last in self._beats.items()
            if last.at is not None and now_s - last.s < DOWN_AFTER_S
        }
