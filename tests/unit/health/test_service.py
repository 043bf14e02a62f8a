"""The health service on a bus in memory: probes by order, facts on change only."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta
from uuid import UUID, uuid4

import msgspec
import pytest
from cryptography.fernet import Fernet

from services.health.judgement import ANSWERS, SILENCE_S, Answer
from services.health.probes import Probes
from services.health.pulse import GRACE_S
from services.health.service import HealthService
from services.health.watched import Watched
from shared.bus import Entry
from shared.bus.base import COMMANDS, EVENTS
from shared.bus.memory import MemoryBus
from shared.keys.bucket import BusKeys
from shared.keys.vault import Vault
from shared.keys.worker import open_as_worker, public_half
from shared.messages.base import now
from shared.messages.facts import ServerHealthChanged, ServiceCameBack, ServiceWentDown
from shared.messages.orders import ProbeServer, ServerSecrets
from shared.messages.settings import ServerSetting
from shared.messages.values import Endpoint, Health, Problem
from tests.support.waiting import eventually

WORKER_KEY = secrets.token_bytes(32)
DOWN = Problem(code="server.unreachable", cause="nothing listens there")


class Platform:
    """A bus, servers with sealed passwords, and a clock that stands still."""

    def __init__(self) -> None:
        self.bus = MemoryBus()
        self.vault = Vault(BusKeys(self.bus), [Fernet.generate_key().decode()])
        self.servers: list[Watched] = []
        self.at, self.s = now(), 1000.0

    async def all(self) -> list[Watched]:
        return self.servers

    def service(self) -> HealthService:
        return HealthService(
            self.bus,
            self,
            Probes(self.bus, self.vault),
            clock=lambda: self.at,
            clock_s=lambda: self.s,
        )

    def pass_s(self, seconds: float) -> None:
        self.at, self.s = self.at + timedelta(seconds=seconds), self.s + seconds

    async def add_server(self, *, pool: str = "core") -> UUID:
        server_id = uuid4()
        token = await self.vault.seal(f"cfg.server.{server_id}", "endpoints.main.password", "pw")
        engine = {"kind": "postgresql", "password": {"key": token.key, "token": token.token}}
        setting = ServerSetting(
            key=str(server_id),
            name="shop",
            pool=pool,
            runner={"kind": "local"},
            endpoints=[Endpoint(name="main", engine=engine)],
        )
        self.servers.append(Watched(id=server_id, version=1, setting=setting))
        await self.bus.kv("keys").put(f"worker.{pool}", public_half(WORKER_KEY).encode())
        return server_id

    def answer(self, server_id: UUID, health: Health, *, pool: str = "core") -> Entry:
        problem = None if health is Health.HEALTHY else DOWN
        value = msgspec.json.encode(Answer(health=health, at=self.at, problem=problem))
        return Entry(f"probe.{pool}.{server_id}", value, 1)

    def beat(self, name: str) -> Entry:
        return Entry(f"service.{name}.host-1", b"{}", 1)

    def facts(self) -> list[object]:
        return [one.message for one in self.bus.server.stream(EVENTS).messages]

    def probes(self) -> list[ProbeServer]:
        messages = [one.message for one in self.bus.server.stream(COMMANDS).messages]
        return [one for one in messages if isinstance(one, ProbeServer)]


@pytest.fixture
def platform() -> Platform:
    return Platform()


async def answered(
    platform: Platform, service: HealthService, server_id: UUID, *answers: Health
) -> None:
    """A minute passes before each answer, and the service looks after it."""
    for health in answers:
        platform.pass_s(60)
        service.on_beat(platform.answer(server_id, health), fresh=True)
        await service.look()


async def test_each_server_is_probed_once_a_minute_however_often_and_by_whomever(
    platform: Platform,
) -> None:
    await platform.add_server()
    services = [platform.service(), platform.service()]
    for _ in range(12 * 5):
        for service in services:
            await service.look()
        platform.pass_s(5)

    assert len({order.id for order in platform.probes()}) == len(platform.probes())
    assert len(platform.probes()) in (5, 6)  # minutes begin at a second of the server's own


async def test_a_probe_is_sealed_to_the_pool_and_soon_worthless(platform: Platform) -> None:
    server_id = await platform.add_server()

    await platform.service().look()

    (order,) = platform.probes()
    assert (order.server_id, order.id) == (server_id, order.run_id)
    assert order.not_after == platform.at + timedelta(seconds=60)
    secrets_ = open_as_worker(order, WORKER_KEY, ServerSecrets)
    assert secrets_.engines["main"]["password"] == "pw"


async def test_a_changed_server_is_probed_at_once(platform: Platform) -> None:
    await platform.add_server()
    service = platform.service()
    await service.look()

    platform.servers = [msgspec.structs.replace(platform.servers[0], version=2)]
    await service.look()

    assert len(platform.probes()) == 2


async def test_a_pool_without_a_worker_is_not_probed(platform: Platform) -> None:
    await platform.add_server()
    await platform.bus.kv("keys").delete("worker.core")

    await platform.service().look()

    assert platform.probes() == []


async def test_a_server_that_is_gone_is_neither_probed_nor_judged(platform: Platform) -> None:
    server_id = await platform.add_server()
    service = platform.service()
    await answered(platform, service, server_id, Health.HEALTHY)
    platform.servers.clear()
    before = len(platform.facts()), len(platform.probes())

    await answered(platform, service, server_id, *[Health.UNREACHABLE] * ANSWERS)

    assert (len(platform.facts()), len(platform.probes())) == before


async def test_health_is_said_on_change_only(platform: Platform) -> None:
    server_id = await platform.add_server()
    service = platform.service()
    bad, good = [Health.UNREACHABLE] * (ANSWERS + 3), [Health.HEALTHY] * 4

    await answered(platform, service, server_id, *good, *bad, *good)

    facts = [one for one in platform.facts() if isinstance(one, ServerHealthChanged)]
    assert [(one.was, one.health) for one in facts] == [
        (Health.UNKNOWN, Health.HEALTHY),
        (Health.HEALTHY, Health.UNREACHABLE),
        (Health.UNREACHABLE, Health.HEALTHY),
    ]
    assert [one.problem for one in facts] == [None, DOWN, None]
    assert len(platform.facts()) == 3


async def test_a_successor_goes_on_from_what_was_said(platform: Platform) -> None:
    server_id = await platform.add_server()
    await answered(platform, platform.service(), server_id, Health.HEALTHY)
    successor = platform.service()

    await answered(platform, successor, server_id, Health.HEALTHY, Health.UNREACHABLE)
    assert len(platform.facts()) == 1

    await answered(platform, successor, server_id, Health.UNREACHABLE, Health.UNREACHABLE)
    assert len(platform.facts()) == 2


async def test_two_that_judge_the_same_change_say_it_once(platform: Platform) -> None:
    server_id = await platform.add_server()
    services = [platform.service(), platform.service()]
    for service in services:
        await service.look()
        service.on_beat(platform.answer(server_id, Health.HEALTHY), fresh=True)

    await asyncio.gather(*(service.look() for service in services))

    assert len(platform.facts()) == 1


async def test_an_answer_of_another_pool_does_not_count(platform: Platform) -> None:
    server_id = await platform.add_server()
    service = platform.service()
    await service.look()

    service.on_beat(platform.answer(server_id, Health.HEALTHY, pool="agent-7"), fresh=True)
    await service.look()

    assert platform.facts() == []


async def test_a_server_that_nobody_answers_for_becomes_unknown(platform: Platform) -> None:
    server_id = await platform.add_server()
    service = platform.service()
    await answered(platform, service, server_id, Health.HEALTHY)

    platform.pass_s(SILENCE_S)
    await service.look()

    last = platform.facts()[-1]
    assert isinstance(last, ServerHealthChanged)
    assert last.health is Health.UNKNOWN
    assert last.problem is not None
    assert last.problem.code == "health.no_answer"


async def test_a_server_whose_secret_cannot_be_opened_is_unreachable(platform: Platform) -> None:
    await platform.add_server()
    for name in await platform.bus.kv("keys").keys("secret-"):
        await platform.vault.erase(name)

    await platform.service().look()

    (fact,) = platform.facts()
    assert isinstance(fact, ServerHealthChanged)
    assert fact.problem is not None
    assert fact.problem.code == "secret.unreadable"


async def pulse(platform: Platform, service: HealthService, seconds: float, *names: str) -> None:
    """These services beat for so long, and the health service looks."""
    for _ in range(int(seconds // 5)):
        for name in names:
            service.on_beat(platform.beat(name), fresh=True)
        await service.look()
        platform.pass_s(5)


async def test_a_service_that_dies_and_returns_is_said_once_each(platform: Platform) -> None:
    """Abuse case 39, too: an auditor that somebody stops is missed like any other."""
    service = platform.service()
    await service.begin()
    await pulse(platform, service, 60, "health", "storage")
    assert platform.facts() == []

    await pulse(platform, service, 120, "health")
    await pulse(platform, service, 60, "health", "storage")

    down, back = platform.facts()
    assert isinstance(down, ServiceWentDown)
    assert isinstance(back, ServiceCameBack)
    assert down.service == back.service == "storage"
    assert down.last_beat_at is not None


async def test_a_restart_of_the_platform_says_nothing(platform: Platform) -> None:
    before = platform.service()
    await before.begin()
    await pulse(platform, before, 60, "health", "storage")
    platform.pass_s(3600)
    after = platform.service()
    await after.begin()
    after.on_beat(platform.beat("storage"), fresh=False)

    await pulse(platform, after, GRACE_S - 10, "health")
    await pulse(platform, after, 60, "health", "storage")

    assert platform.facts() == []


async def test_a_service_that_is_down_across_a_restart_is_not_said_to_be_again(
    platform: Platform,
) -> None:
    first = platform.service()
    await first.begin()
    await pulse(platform, first, 60, "health", "storage")
    await pulse(platform, first, 60, "health")
    second = platform.service()
    await second.begin()

    await pulse(platform, second, 120, "health")
    assert len(platform.facts()) == 1

    await pulse(platform, second, 10, "health", "storage")
    assert isinstance(platform.facts()[-1], ServiceCameBack)


async def test_what_is_no_beat_is_passed_over(platform: Platform) -> None:
    service = platform.service()

    for key, value in [("a", b""), ("service.x", b""), ("probe.core.nobody", b"not JSON")]:
        service.on_beat(Entry(key, value, 1), fresh=True)
    await service.look()

    assert platform.facts() == []


async def test_an_answer_in_the_bucket_is_judged_as_it_comes(platform: Platform) -> None:
    server_id = await platform.add_server()
    listening = asyncio.create_task(platform.service().listen("one"))
    await eventually(platform.probes)
    entry = platform.answer(server_id, Health.HEALTHY)
    assert entry.value is not None

    await platform.bus.kv("beats").put(entry.key, entry.value)
    (fact,) = await eventually(platform.facts, within=4)

    assert isinstance(fact, ServerHealthChanged)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
