"""What the notifier remembers beside the log: troubles that were told, notes that wait."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from services.notifier.troubles import Trouble
from shared.bus import Bus
from shared.messages.base import now

BUCKET = "notes"
MOST_IN_A_DIGEST = 500


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A note that waits for its time: what a template may name of it."""

    channel_id: str
    values: dict[str, Any]


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """The notes of one digest, fixed before it is sent, so that each try sends the same."""

    id: UUID
    channel_id: str
    at: datetime
    keys: list[str]
    notes: list[dict[str, Any]]
    more: int = 0


class Memory:
    """The bucket `notes`. Nothing here is an event: a suppressed note leaves no trace in the log.

    `trouble.<rule>.<topic>`, `held.<rule>.<due, seconds>.<fact>`, `told.<rule>.<fact>` after its
    digest was sent, and `digest.<rule>` while one is being sent.
    """

    def __init__(self, bus: Bus) -> None:
        self._kv = bus.kv(BUCKET)

    async def trouble(self, rule_id: str, topic: str) -> tuple[Trouble | None, int]:
        """The trouble, and the revision that `keep` is to replace."""
        entry = await self._kv.get(f"trouble.{rule_id}.{topic}")
        if entry is None or entry.value is None:
            return None, 0
        return msgspec.json.decode(entry.value, type=Trouble), entry.revision

    async def keep(self, rule_id: str, topic: str, trouble: Trouble, revision: int) -> bool:
        """Remember; False when another replica did meanwhile."""
        key, value = f"trouble.{rule_id}.{topic}", msgspec.json.encode(trouble)
        if revision:
            return await self._kv.update(key, value, revision=revision) is not None
        return await self._kv.create(key, value) is not None

    async def hold(self, rule_id: str, fact_id: UUID, due: datetime, held: Held) -> None:
        """Keep a note until `due`, once: one that a digest told already is not kept again."""
        if await self._kv.get(f"told.{rule_id}.{fact_id}") is None:
            key = f"held.{rule_id}.{int(due.timestamp())}.{fact_id}"
            await self._kv.put(key, msgspec.json.encode(held))

    async def due(self, now: datetime) -> dict[str, list[str]]:
        """Rule -> the keys of its notes whose time has come, oldest first."""
        found: dict[str, list[str]] = {}
        for key in await self._kv.keys("held."):
            _, rule_id, due, _ = key.split(".")
            if datetime.fromtimestamp(int(due), UTC) <= now:
                found.setdefault(rule_id, []).append(key)
        for key in await self._kv.keys("digest."):
            found.setdefault(key.split(".")[1], [])
        return found

    async def gather(self, rule_id: str, keys: list[str]) -> Gathered | None:
        """The digest that is being sent for the rule, else one of `keys`; None without notes."""
        begun = await self._kv.get(f"digest.{rule_id}")
        if begun is not None and begun.value is not None:
            return msgspec.json.decode(begun.value, type=Gathered)
        held = [(key, one) for key in keys if (one := await self._held(key)) is not None]
        if not held:
            return None
        made = Gathered(
            id=uuid7(),
            at=now(),
            channel_id=held[0][1].channel_id,
            keys=[key for key, _ in held],
            notes=[one.values for _, one in held][:MOST_IN_A_DIGEST],
            more=max(0, len(held) - MOST_IN_A_DIGEST),
        )
        await self._kv.create(f"digest.{rule_id}", msgspec.json.encode(made))
        return made

    async def told(self, rule_id: str, gathered: Gathered) -> None:
        """The digest has ended: forget its notes, and remember not to keep them again."""
        for key in gathered.keys:
            await self._kv.put(f"told.{rule_id}.{key.split('.')[3]}", b"{}")
            await self._kv.delete(key)
        await self._kv.delete(f"digest.{rule_id}")

    async def _held(self, key: str) -> Held | None:
        entry = await self._kv.get(key)
        if entry is None or entry.value is None:
            return None
        return msgspec.json.decode(entry.value, type=Held)
