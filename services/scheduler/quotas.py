"""Whether a backup has room in every store and group with a quota, before anything is dumped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

import msgspec

from services.scheduler.errors import QuotaExceededError

PROMISED_FOR_S = 60.0
"""How long an admission counts that the read model does not show yet."""


class Filling(msgspec.Struct, frozen=True, kw_only=True):
    """Something with a quota. `stored_bytes`: what stands there, with the copies that are to come.
    `promised`: what the backups under way will need, by run. `copies` of the next backup are to
    stand there."""

    name: str
    quota_bytes: int
    stored_bytes: int
    promised: Mapping[UUID, int]
    copies: int = 1


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup is thought to need, like the last one of its database and type, of what."""

    wanted_bytes: int = 0
    fillings: Sequence[Filling] = ()


class Quotas:
    """Remembers what was just admitted: many backups may begin before the first is projected."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._admitted: dict[str, dict[UUID, tuple[float, int]]] = {}

    def admit(self, run_id: UUID, need: Need) -> None:
        """Take the room for a run; raises QuotaExceededError, and then takes none."""
        at = self._clock_s()
        for one in need.fillings:
            taken = one.stored_bytes + self._promised(one, run_id, at)
            wanted = need.wanted_bytes * one.copies
            if taken + wanted > one.quota_bytes or taken >= one.quota_bytes:
                raise QuotaExceededError(
                    f"{one.name} holds or awaits {taken} of {one.quota_bytes} bytes,"
                    f" and the backup will need about {wanted}"
                )
        for one in need.fillings:
            wanted = need.wanted_bytes * one.copies
            self._admitted.setdefault(one.name, {})[run_id] = at, wanted

    def _promised(self, one: Filling, run_id: UUID, at: float) -> int:
        young = {
            key: (since, count)
            for key, (since, count) in self._admitted.get(one.name, {}).items()
            if at - since < PROMISED_FOR_S and key not in one.promised
        }
        self._admitted[one.name] = young
        promised = {key: count for key, (_, count) in young.items()} | dict(one.promised)
        return sum(count for key, count in promised.items() if key != run_id)
