"""Questions about a server: tests, discoveries and probes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from services.executor.engines import AnyEngine
from services.executor.runners import AnyRunner
from services.executor.servers import ProbeAnswer
from services.launcher.ports import free_port
from shared.keys.reading import read_order_key
from shared.keys.worker import public_half
from shared.messages import orders  # pytest would take a class `TestServer` here for tests
from shared.messages.base import now
from shared.messages.facts import ServerDiscovered, ServerTested
from shared.messages.values import Health
from shared.plugins import announced, schemas_of
from tests.integration.executor.world import World, database, engine_of
from tests.support.postgres import Postgres
from tests.support.waiting import eventually

ORDER: dict[str, Any] = {"not_after": now() + timedelta(hours=1), "sealed": ""}


async def said(world: World, verb: str, order: orders.TestServer | orders.DiscoverServer) -> Any:
    async def look() -> Any:
        for delivery in await world.bus.last_of(f"evt.server.{verb}.core.{order.server_id}"):
            return delivery.message
        return None

    return await eventually(look)


async def test_a_test_says_the_version_of_every_endpoint_or_the_first_problem(
    world: World, customer: Postgres, postgres: Postgres
) -> None:
    well = orders.TestServer(server_id=uuid4(), run_id=uuid4(), **ORDER)
    ill = orders.TestServer(server_id=uuid4(), run_id=uuid4(), **ORDER)
    engines = {"old": engine_of(customer), "new": engine_of(postgres)}
    closed = engines | {"new": engine_of(postgres) | {"port": free_port()}}
    async with world.executor():
        await world.bus.append(world.sealed(well, world.server_secrets(engines)))
        await world.bus.append(world.sealed(ill, world.server_secrets(closed)))
        good, bad = await said(world, "tested", well), await said(world, "tested", ill)

    assert isinstance(good, ServerTested)
    assert {name: one[:3] for name, one in good.versions.items()} == {"old": "16.", "new": "18."}
    assert (good.problem, good.run_id) == (None, well.run_id)
    assert isinstance(bad, ServerTested)
    assert bad.versions.keys() == {"old"}
    assert bad.problem is not None
    assert bad.problem.code == "engine.unreachable"


async def test_a_discovery_lists_databases_and_is_answered_once(
    world: World, customer: Postgres
) -> None:
    order = orders.DiscoverServer(server_id=uuid4(), run_id=uuid4(), **ORDER)
    sealed = world.sealed(order, world.server_secrets({"main": engine_of(customer)}))
    async with database(customer, "create table t ()") as name, world.executor() as executor:
        await world.bus.append(sealed)
        found = await said(world, "discovered", order)
        before = (await world.bus.state("EVENTS")).last_seq
        async for delivery in world.bus.follow("COMMANDS", after_seq=0):
            await executor.on_order(delivery)
            break
        after = (await world.bus.state("EVENTS")).last_seq

    assert isinstance(found, ServerDiscovered)
    assert ("main", name) in {(one.endpoint, one.name) for one in found.databases}
    assert before == after


async def test_a_question_that_comes_too_late_is_not_answered(world: World) -> None:
    late = orders.TestServer(server_id=uuid4(), run_id=uuid4(), not_after=now(), sealed="")
    async with world.executor() as executor:
        await world.bus.append(late)
        async for delivery in world.bus.follow("COMMANDS", after_seq=0):
            await executor.on_order(delivery)
            break

    assert (await world.bus.state("EVENTS")).last_seq == 0


@pytest.mark.parametrize(
    ("endpoints", "health"),
    [(("up",), "healthy"), (("up", "down"), "degraded"), (("down",), "unreachable")],
)
async def test_a_probe_answers_without_an_event(
    world: World, customer: Postgres, endpoints: tuple[str, ...], health: str
) -> None:
    ports = {"up": customer.port, "down": free_port()}
    engines = {name: engine_of(customer) | {"port": ports[name]} for name in endpoints}
    order = orders.ProbeServer(server_id=uuid4(), run_id=uuid4(), **ORDER)

    async def answered() -> ProbeAnswer | None:
        entry = await world.bus.kv("beats").get(f"probe.core.{order.server_id}")
        return msgspec.json.decode(entry.value, type=ProbeAnswer) if entry and entry.value else None

    async with world.executor():
        await world.bus.append(world.sealed(order, world.server_secrets(engines)))
        answer = await eventually(answered)

    assert answer is not None
    assert answer.health is Health(health)
    assert (answer.problem is None) == (health == "healthy")
    assert (await world.bus.state("EVENTS")).last_seq == 0


async def test_an_executor_announces_its_plug_ins_and_the_key_that_orders_are_sealed_to(
    world: World,
) -> None:
    async def key() -> str | None:
        entry = await world.bus.kv("keys").get("worker.core")
        return entry.value.decode() if entry and entry.value else None

    async with world.executor():
        announced_key = await eventually(key)

    assert announced_key == public_half(read_order_key(world.keys.order_key))
    assert await announced(world.bus, "engine") == schemas_of(AnyEngine)
    assert await announced(world.bus, "runner") == schemas_of(AnyRunner)
