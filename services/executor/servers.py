"""Questions about a whole server: does it answer, what databases has it, how is it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import msgspec

from services.executor.engines.base import Engine, UnreachableError
from services.executor.orders import ServerOrder, open_server_order
from services.executor.runners.base import Session, Workplace
from services.executor.runs import Worker, problem_of
from shared.bus import Bus, Expect, WrongSequenceError
from shared.errors import PlatformError
from shared.messages.base import Fact, consequence, now
from shared.messages.facts import ServerDiscovered, ServerTested
from shared.messages.orders import DiscoverServer, ProbeServer, TestServer
from shared.messages.values import FoundDatabase, Health, Problem

_ANSWER_S = 20.0
_Answer = TypeVar("_Answer")
AnyQuestion = TestServer | DiscoverServer | ProbeServer


class ProbeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """In KV `beats` under `probe.<pool>.<server_id>`: what the last probe found."""

    health: Health
    versions: dict[str, str]
    problem: Problem | None
    at: datetime


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What the endpoints of a server answered, and the first problem if one has any."""

    endpoints: int
    versions: dict[str, str] = {}
    databases: list[FoundDatabase] = []
    problem: Problem | None = None

    @property
    def health(self) -> Health:
        if self.problem is None:
            return Health.HEALTHY
        return Health.DEGRADED if self.versions else Health.UNREACHABLE


class Questions:
    """Answers the questions of one pool."""

    def __init__(self, bus: Bus, worker: Worker, workplace: Workplace) -> None:
        self._bus, self._worker, self._workplace = bus, worker, workplace

    async def answer(self, order: AnyQuestion) -> None:
        """Repeatable: an answer that is the log's last one of the server is not said again.

        What comes so late that it may have been answered and passed over is not answered.
        """
        match order:
            case ProbeServer():
                await self._probe(order)
            case TestServer():
                await self._once(order, "tested", self._tested)
            case DiscoverServer():
                await self._once(order, "discovered", self._discovered)

    async def _probe(self, order: ProbeServer) -> None:
        if now() > order.not_after:
            return  # the next probe is on its way
        heard = await self._ask(order, _version)
        answer = ProbeAnswer(
            health=heard.health, versions=heard.versions, problem=heard.problem, at=now()
        )
        key = f"probe.{order.pool}.{order.server_id}"
        await self._bus.kv("beats").put(key, msgspec.json.encode(answer))

    async def _tested(self, order: AnyQuestion) -> Fact:
        heard = await self._ask(order, _version)
        return ServerTested(
            id=consequence(order.id, "tested"),
            pool=order.pool,
            actor="service:executor",
            caused_by=order.id,
            request_id=order.request_id,
            server_id=order.server_id,
            run_id=order.run_id,
            versions=heard.versions,
            problem=heard.problem,
        )

    async def _discovered(self, order: AnyQuestion) -> Fact:
        heard = await self._ask(order, _databases)
        return ServerDiscovered(
            id=consequence(order.id, "discovered"),
            pool=order.pool,
            actor="service:executor",
            caused_by=order.id,
            request_id=order.request_id,
            server_id=order.server_id,
            run_id=order.run_id,
            databases=heard.databases,
            problem=heard.problem,
        )

    async def _once(
        self, order: AnyQuestion, verb: str, ask: Callable[[AnyQuestion], Awaitable[Fact]]
    ) -> None:
        if now() > order.not_after:
            return  # the scheduler has said, or says, that nobody answered
        subject = f"evt.server.{verb}.{order.pool}.{order.server_id}"
        if await self._answered(subject, order.run_id) is None:
            return
        fact = await ask(order)
        while (last := await self._answered(subject, order.run_id)) is not None:
            try:
                await self._bus.append(fact, expect=Expect(last))
            except WrongSequenceError:
                continue  # another question about the same server was answered meanwhile
            return

    async def _answered(self, subject: str, run_id: UUID) -> int | None:
        """The last sequence on `subject`, or None where it is the answer to this run."""
        for delivery in await self._bus.last_of(subject):
            message = delivery.message
            assert isinstance(message, ServerTested | ServerDiscovered)
            return None if message.run_id == run_id else delivery.seq
        return 0

    async def _ask(
        self,
        order: AnyQuestion,
        ask: Callable[[str, Engine, Session], Awaitable[Heard]],
    ) -> Heard:
        try:
            opened = open_server_order(order, self._worker.order_key)
            async with opened.runner.session(self._workplace) as session:
                return _together(await self._ask_all(opened, session, ask))
        except PlatformError as error:
            return Heard(endpoints=0, problem=problem_of(error))

    async def _ask_all(
        self,
        opened: ServerOrder,
        session: Session,
        ask: Callable[[str, Engine, Session], Awaitable[Heard]],
    ) -> list[Heard]:
        return await asyncio.gather(
            *(_asked(ask(name, engine, session)) for name, engine in opened.engines.items())
        )


async def _asked(question: Awaitable[Heard]) -> Heard:
    try:
        async with asyncio.timeout(_ANSWER_S):
            return await question
    except TimeoutError:
        problem = problem_of(UnreachableError(f"no answer within {_ANSWER_S:.0f} s"))
    except PlatformError as error:
        problem = problem_of(error)
    return Heard(endpoints=1, problem=problem)


async def _version(name: str, engine: Engine, session: Session) -> Heard:
    return Heard(endpoints=1, versions={name: await engine.test(session)})


async def _databases(name: str, engine: Engine, session: Session) -> Heard:
    found = [
        FoundDatabase(endpoint=name, name=one.name, size_bytes=one.size_bytes)
        for one in await engine.databases(session)
    ]
    return Heard(endpoints=1, databases=found)


def _together(heard: list[Heard]) -> Heard:
    problems = [one.problem for one in heard if one.problem]
    return Heard(
        endpoints=len(heard),
        versions={name: version for one in heard for name, version in one.versions.items()},
        databases=[database for one in heard for database in one.databases],
        problem=problems[0] if problems else None,
    )
