"""Says what changed, and nothing else: each fact expects the one that it departs from."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from services.health.judgement import Verdict
from services.health.probes import ACTOR
from shared.bus import Bus, Delivery, Expect, WrongSequenceError
from shared.messages.facts import (
    ServerHealthChanged,
    ServiceCameBack,
    ServiceWentDown,
)
from shared.messages.facts.platform import ServiceFact
from shared.messages.values import Health


class Facts:
    """What the log says of servers and services, and what follows."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def health_of(self, server_id: UUID) -> Health:
        """What was last said of a server."""
        _, said = await self._last_of_server(server_id)
        return said.health if said else Health.UNKNOWN

    async def judge(self, server_id: UUID, verdict: Verdict) -> bool:
        """Say `verdict` of a server, unless it was the last thing said.

        False when another replica spoke meanwhile: then judge again on what it said.
        """
        seq, said = await self._last_of_server(server_id)
        was = said.health if said else Health.UNKNOWN
        if was is verdict.health:
            return True
        fact = ServerHealthChanged(
            actor=ACTOR,
            server_id=server_id,
            health=verdict.health,
            was=was,
            problem=verdict.problem,
        )
        return await self._say(fact, Expect(seq))

    async def services_down(self) -> set[str]:
        """The services that are down, as far as the log says."""
        last: dict[str, Delivery] = {}
        for delivery in await self._bus.last_of("evt.service.*.core.*"):
            last[delivery.subject.rsplit(".", 1)[-1]] = delivery  # in the order of the log
        return {name for name, one in last.items() if isinstance(one.message, ServiceWentDown)}

    async def went_down(self, service: str, last_beat_at: datetime | None) -> bool:
        """Say that a service is down, unless that was the last thing said; False as in `judge`."""
        fact = ServiceWentDown(actor=ACTOR, service=service, last_beat_at=last_beat_at)
        return await self._turn(fact)

    async def came_back(self, service: str) -> bool:
        """Say that a service beats again, if it was said to be down; False as in `judge`."""
        return await self._turn(ServiceCameBack(actor=ACTOR, service=service))

    async def _turn(self, fact: ServiceWentDown | ServiceCameBack) -> bool:
        subject = f"evt.service.*.core.{fact.service}"
        said = await self._bus.last_of(subject)
        was_down = bool(said) and isinstance(said[-1].message, ServiceWentDown)
        if was_down is isinstance(fact, ServiceWentDown):
            return True
        return await self._say(fact, Expect(said[-1].seq if said else 0, subject))

    async def _last_of_server(self, server_id: UUID) -> tuple[int, ServerHealthChanged | None]:
        for delivery in await self._bus.last_of(f"evt.server.health_changed.core.{server_id}"):
            message = delivery.message
            return delivery.seq, message if isinstance(message, ServerHealthChanged) else None
        return 0, None

    async def _say(self, fact: ServerHealthChanged | ServiceFact, expect: Expect) -> bool:
        try:
            await self._bus.append(fact, expect=expect)
        except WrongSequenceError:
            return False
        return True
