"""Health: probes the servers, listens to the services, and says what changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime
from uuid import UUID

import msgspec
import structlog

from services.health.facts import Facts
from services.health.judgement import Answer, Trail, begun, verdict
from services.health.probes import Probes
from services.health.pulse import Pulse
from services.health.watched import Servers, Watched
from shared.bus import Bus, Entry
from shared.bus.lease import led
from shared.errors import PlatformError, UnavailableError
from shared.messages.base import now
from shared.messages.values import Health, Problem

LEASE = "health"
LOOK_EVERY_S = 5.0

_answer = msgspec.json.Decoder(Answer)
_log = structlog.get_logger()


class HealthService:
    """The active judge, once it holds the lease; a standby before.

    Two that both think they are active send the same probes (ids from the minute) and cannot say
    a change twice (each fact expects the last one), so the lease only saves work.
    """

    def __init__(  # noqa: PLR0913 - what the judge is made of
        self,
        bus: Bus,
        servers: Servers,
        probes: Probes,
        *,
        clock: Callable[[], datetime] = now,
        clock_s: Callable[[], float],
        beside: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> None:
        """`beside` is what else the active one does, for ever."""
        self._bus, self._servers, self._probes = bus, servers, probes
        self._clock, self._clock_s = clock, clock_s
        self._beside = beside
        self._facts = Facts(bus)
        self._pulse = Pulse(clock_s())
        self._trails: dict[UUID, Trail] = {}
        self._said: dict[UUID, Health] = {}
        self._answers: dict[tuple[str, str], Answer] = {}
        self._down: set[str] = set()
        self._wake = asyncio.Event()

    async def listen(self, replica: str) -> None:
        """For ever: wait for the lease, judge while it is held."""
        await led(self._bus, LEASE, replica, self._lead)

    async def _lead(self) -> None:
        await self.begin()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hear())
            for doing in self._beside:
                group.create_task(_forever(doing))
            while True:
                self._wake.clear()
                with suppress(UnavailableError):  # the next look judges the same
                    await self.look()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await self._wake.wait()

    async def begin(self) -> None:
        """Start the time of grace, from what was last said."""
        self._pulse = Pulse(self._clock_s())
        self._trails, self._said, self._answers = {}, {}, {}
        self._down = await self._facts.services_down()
        for service in self._down:
            self._pulse.know(service, self._clock_s())

    async def look(self) -> None:
        """Say what changed of services and servers, and send the probes that are due."""
        await self._judge_services()
        watched = await self._servers.all()
        self._forget_others({server.id for server in watched})
        for server in watched:
            await self._judge(server)
            await self._probe(server)

    def on_beat(self, entry: Entry, *, fresh: bool) -> None:
        """Take note of an entry of KV `beats`; `fresh`: it was written while we listened.

        An older answer was heard by whoever judged before us; what is no beat is passed over.
        """
        match entry.key.split("."):
            case ["service", name, _] if entry.value is not None and fresh:
                self._pulse.beat(name, self._clock_s(), self._clock())
            case ["service", name, _] if entry.value is not None:
                self._pulse.know(name, self._clock_s())
            case ["probe", pool, server_id] if entry.value is not None and fresh:
                self._on_answer(pool, server_id, entry.value)

    def _on_answer(self, pool: str, server_id: str, value: bytes) -> None:
        try:
            self._answers[pool, server_id] = _answer.decode(value)
        except msgspec.DecodeError:
            _log.error("undecodable_answer", pool=pool, server_id=server_id)
        self._wake.set()

    async def _hear(self) -> None:
        fresh = False
        async for entry in self._bus.kv("beats").watch():
            if entry is None:
                fresh = True
            else:
                self.on_beat(entry, fresh=fresh)

    async def _judge_services(self) -> None:
        now_s = self._clock_s()
        for service in self._pulse.up(now_s) & self._down:
            if await self._facts.came_back(service):
                self._down.discard(service)
        for service, last_beat_at in self._pulse.down(now_s).items():
            if service not in self._down and await self._facts.went_down(service, last_beat_at):
                self._down.add(service)

    async def _judge(self, server: Watched) -> None:
        trail = await self._trail(server.id)
        # Only the server's own pool is asked, so only its answer counts.
        answer = self._answers.pop((server.setting.pool, str(server.id)), None)
        if answer is not None:
            trail = trail.heard(answer, self._clock_s())
        await self._conclude(server.id, trail)

    async def _conclude(self, server_id: UUID, trail: Trail) -> None:
        self._trails[server_id] = trail
        judged = verdict(trail, self._clock_s())
        changed = judged.health is not self._said[server_id]
        if changed and await self._facts.judge(server_id, judged):
            self._said[server_id] = judged.health

    async def _trail(self, server_id: UUID) -> Trail:
        if server_id not in self._trails:
            health = self._said[server_id] = await self._facts.health_of(server_id)
            self._trails[server_id] = begun(health, self._clock_s())
        return self._trails[server_id]

    async def _probe(self, server: Watched) -> None:
        try:
            await self._probes.send(server, self._clock())
        except PlatformError as error:
            if error.retryable:
                raise
            problem = Problem(code=error.code, cause=error.cause, fix=error.fix)
            answer = Answer(health=Health.UNREACHABLE, at=self._clock(), problem=problem)
            trail = self._trails[server.id].heard(answer, self._clock_s())
            await self._conclude(server.id, trail)

    def _forget_others(self, server_ids: set[UUID]) -> None:
        self._probes.only(server_ids)
        names = {str(server_id) for server_id in server_ids}
        self._trails = {key: one for key, one in self._trails.items() if key in server_ids}
        self._said = {key: one for key, one in self._said.items() if key in server_ids}
        self._answers = {key: one for key, one in self._answers.items() if key[1] in names}


async def _forever(doing: Callable[[], Awaitable[None]]) -> None:
    await doing()
