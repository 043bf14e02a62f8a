"""What nats-py and networks do wrong, one test each: the bus neither lies nor hangs."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias
from uuid import UUID, uuid4

import pytest

from shared.bus import Appended, Bus, Delivery, Draft, Expect
from shared.bus.base import DLQ, EVENTS
from shared.bus.bootstrap import bootstrap
from shared.bus.errors import BusForbiddenError
from shared.bus.gate import GUARD
from shared.bus.jetstream import BusSettings, connect
from shared.bus.subjects import checked_headers, checked_subject, common, matches
from shared.errors import InvalidInputError, UnavailableError
from shared.messages.facts import BackupExpired
from shared.settings import ConfigurationError
from tests.support.bus import QUICK, platform_nats
from tests.support.nats import Nats
from tests.support.proxy import Proxy, proxy
from tests.support.waiting import eventually


def expired(backup_id: UUID | None = None) -> BackupExpired:
    return BackupExpired(backup_id=backup_id or uuid4(), reason="keep_last")


@pytest.fixture
async def server(nats: Nats) -> Nats:
    await bootstrap(BusSettings(nats_url=nats.url))
    return nats


@asynccontextmanager
async def on(url: str, *, gate: bool = False) -> AsyncIterator[Bus]:
    settings = BusSettings(nats_url=url)
    async with connect(settings, source="test", gate=gate, pace=QUICK) as bus:
        yield bus


@pytest.fixture
async def bus(server: Nats) -> AsyncIterator[Bus]:
    async with on(server.url) as one:
        yield one


@asynccontextmanager
async def stopped(server: Nats) -> AsyncIterator[None]:
    """SIGSTOP inside the block: the sockets live, nobody answers."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        await eventually(lambda: _stands_still(server.pid), what="every thread stands still")
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


def _stands_still(pid: int) -> bool:
    """A signal takes a moment, in which a busy machine may still answer."""
    states = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(one.rpartition(")")[2].split()[0] == "T" for one in states)


async def messages(bus: Bus) -> int:
    return (await bus.state(EVENTS)).messages


async def test_the_bus_speaks_again_after_each_crash_of_the_server(server: Nats, bus: Bus) -> None:
    for count in range(1, 4):
        await bus.append(expired())
        server.kill9()
        server.start()
        assert (await asyncio.wait_for(bus.append(expired()), 10)).seq == 2 * count


async def test_it_never_gives_up_connecting(
    server: Nats, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def counted(*arguments: object, **more: object) -> object:
        nonlocal tries
        tries += 1
        return await connecting(*arguments, **more)

    connecting = asyncio.open_connection
    monkeypatch.setattr("shared.bus.connection.RETRY_AFTER_S", (0.002,))
    monkeypatch.setattr("asyncio.open_connection", counted)
    server.kill9()
    async with asyncio.timeout(20):
        while tries < 70:  # nats-py alone closes for good after 60
            await asyncio.sleep(0.01)
    server.start()
    assert (await asyncio.wait_for(bus.append(expired()), 10)).seq == 1


async def test_an_error_of_a_callback_does_not_end_the_connection(
    server: Nats, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("a log that cannot be written")

    monkeypatch.setattr("shared.bus.link._log.warning", fails, raising=False)
    server.kill9()
    await asyncio.sleep(0.5)
    server.start()
    assert (await asyncio.wait_for(bus.append(expired()), 10)).seq == 1


async def test_nothing_is_said_to_be_stored_while_the_server_is_down(
    server: Nats, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.kill9()
    with monkeypatch.context() as patience:
        patience.setattr("shared.bus.publishing.WITHIN_S", 1.0)
        with pytest.raises(UnavailableError, match="may still be stored"):
            await bus.append(expired())
    server.start()
    await bus.append(expired())
    assert await messages(bus) == 1


async def test_an_append_begun_while_the_server_is_down_lands_once_it_is_back(
    server: Nats, bus: Bus
) -> None:
    server.kill9()
    appending = asyncio.create_task(bus.append(expired(), expect=Expect(0)))
    await asyncio.sleep(0.5)
    server.start()
    assert (await asyncio.wait_for(appending, 15)).seq == 1


async def test_cancelling_works_under_back_pressure(server: Nats, bus: Bus) -> None:
    big = [BackupExpired(backup_id=uuid4(), reason="x" * 900_000) for _ in range(30)]
    async with stopped(server):
        tasks = [asyncio.create_task(bus.append(one)) for one in big]
        await asyncio.sleep(0.3)
        began = time.monotonic()
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert time.monotonic() - began < 1.0
    assert all(isinstance(one, asyncio.CancelledError) for one in ended)


async def test_a_timeout_fires_although_the_server_is_silent(server: Nats, bus: Bus) -> None:
    async with stopped(server):
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await bus.append(expired())
        assert time.monotonic() - began < 1.0


async def test_a_pull_under_way_does_not_sleep_through_a_restart(server: Nats, bus: Bus) -> None:
    heard = asyncio.Event()

    async def handler(_: Delivery) -> None:
        heard.set()

    working = asyncio.create_task(bus.work("d", EVENTS, ["evt.>"], handler))
    await asyncio.sleep(0.5)
    server.kill9()
    server.start()
    await bus.append(expired())
    began = time.monotonic()
    await asyncio.wait_for(heard.wait(), 3.5)
    assert time.monotonic() - began < 3.5
    working.cancel()


async def test_an_append_to_a_stopped_server_lands_once_when_it_goes_on(
    server: Nats, bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.bus.publishing.ANSWER_WITHIN_S", 0.4)
    async with stopped(server):
        tasks = [
            asyncio.create_task(bus.append(expired(), expect=Expect(0))),
            asyncio.create_task(bus.append(expired())),
        ]
        await asyncio.sleep(1.5)
        assert [task for task in tasks if task.done()] == []
    await asyncio.wait_for(asyncio.gather(*tasks), 15)
    assert await messages(bus) == 2


async def test_a_half_open_link_is_noticed_and_replaced(
    server: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.bus.connection.PING_EVERY_S", 0.3)
    async with proxy(server.port) as network, on(network.url) as bus:
        await bus.append(expired())
        network.to_client.clear()
        network.to_server.clear()
        await asyncio.sleep(2.5)
        network.mend()
        assert (await asyncio.wait_for(bus.append(expired()), 10)).seq == 2


async def single(bus: Bus) -> Appended:
    return await bus.append(expired())


async def first(bus: Bus) -> Appended:
    return await bus.append(expired(), expect=Expect(0))


async def fenced(bus: Bus) -> Appended:
    message = expired()
    return await bus.append(message, expect=Expect(0, f"evt.backup.*.*.{message.backup_id}"))


async def batch(bus: Bus) -> Appended:
    return await bus.append_all([Draft(expired(), Expect(0)), Draft(expired(), Expect(0))])


Append: TypeAlias = Callable[[Bus], Awaitable[Appended]]


@pytest.mark.parametrize(("append", "count"), [(single, 1), (first, 1), (fenced, 1), (batch, 2)])
async def test_a_lost_answer_is_made_up_for_by_looking(
    server: Nats, monkeypatch: pytest.MonkeyPatch, append: Append, count: int
) -> None:
    monkeypatch.setattr("shared.bus.publishing.ANSWER_WITHIN_S", 0.4)
    async with on(server.url) as watcher, proxy(server.port) as network, on(network.url) as bus:
        await bus.append(expired())
        appending = asyncio.create_task(_append_deaf(append, bus, network, count))
        async with asyncio.timeout(10):
            while count == 1 and await messages(watcher) < 2:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.6)
        network.mend()
        network.cut()
        appended = await asyncio.wait_for(appending, 10)
        assert appended.seq == 1 + count
        assert await messages(watcher) == 1 + count


async def _append_deaf(append: Append, bus: Bus, network: Proxy, count: int) -> Appended:
    network.to_client.clear()
    return await append(bus)


async def test_a_slow_reader_misses_nothing(bus: Bus) -> None:
    await asyncio.gather(*(bus.append(expired()) for _ in range(700)))
    seen: list[int] = []
    async with asyncio.timeout(30):
        async for delivery in bus.follow(EVENTS, after_seq=0):
            if delivery.seq % 100 == 0:
                await asyncio.sleep(0.2)
            seen.append(delivery.seq)
            if len(seen) == 700:
                break
    assert seen == list(range(1, 701))


async def test_following_goes_on_without_gap_or_repeat_over_crashes_and_cuts(
    server: Nats,
) -> None:
    seen: list[int] = []

    async def follow(bus: Bus) -> None:
        async for delivery in bus.follow(EVENTS, after_seq=0):
            seen.append(delivery.seq)  # noqa: PERF401 - it never ends

    async with proxy(server.port) as network, on(network.url) as bus, on(server.url) as writer:
        following = asyncio.create_task(follow(bus))
        for turn in range(4):
            for _ in range(25):
                await writer.append(expired())
            if turn % 2:
                server.kill9()
                server.start()
            else:
                network.cut()
        async with asyncio.timeout(15):
            while len(seen) < 100:
                await asyncio.sleep(0.02)
        following.cancel()
        assert seen == list(range(1, 101))


async def test_the_gate_shuts_with_each_lost_connection(server: Nats) -> None:
    allowed = b'{"ok": true}'

    async def answer(_: bytes) -> bytes:
        return allowed

    async with on(server.url) as auditor, on(server.url, gate=True) as bus:
        await auditor.answer(GUARD, answer)
        await bus.append(expired())
        allowed = b'{"ok": false}'
        server.kill9()
        server.start()
        with pytest.raises(UnavailableError, match="writes are held"):
            await bus.append(expired())
        assert await messages(auditor) == 1
        allowed = b'{"ok": true}'
        assert (await asyncio.wait_for(bus.append(expired()), 8)).seq == 2


async def test_a_worker_that_dies_leaves_its_delivery_and_a_crash_loses_none(
    server: Nats, bus: Bus
) -> None:
    done: list[int] = []

    async def handler(delivery: Delivery) -> None:
        await asyncio.sleep(0.02)
        done.append(delivery.seq)

    working = asyncio.create_task(bus.work("d", EVENTS, ["evt.>"], handler, parallel=4))
    for number in range(60):
        await bus.append(expired())
        if number in (20, 40):
            server.kill9()
            server.start()
    async with asyncio.timeout(20):
        while set(done) != set(range(1, 61)):
            await asyncio.sleep(0.05)
    working.cancel()
    assert await bus.state(DLQ)


async def test_a_refusal_of_the_server_is_said_at_once(tmp_path: Path) -> None:
    with platform_nats(tmp_path / "nats") as platform:
        await platform.bootstrap()
        async with platform.bus("notifier") as bus:
            began = time.monotonic()
            with pytest.raises(BusForbiddenError, match="may not use evt"):
                await bus.append(expired())
            with pytest.raises(BusForbiddenError):
                await bus.kv("sessions").get("x1")
            assert time.monotonic() - began < 2.0


@pytest.mark.parametrize(
    "subject", ["evt.a\r\nPUB x 1", "evt..a", "", "evt.a b", "evt.*", "evt.>", "evt.\x00", "a\t"]
)
def test_a_subject_that_could_start_another_line_is_refused(subject: str) -> None:
    """Abuse case 27: the last fence before the wire."""
    with pytest.raises(InvalidInputError):
        checked_subject(subject)


@pytest.mark.parametrize("headers", [{"a": "b\r\nc: d"}, {"a\nb": "c"}, {"": "x"}, {"a:b": "c"}])
def test_a_header_that_could_start_another_one_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError):
        checked_headers(headers)


@pytest.mark.parametrize(
    ("filters", "one"),
    [
        (["evt.>"], "evt.>"),
        (["evt.a.b", "evt.a.c"], "evt.a.*"),
        (["evt.a.*.>", "evt.b.x.y.z"], "evt.*.*.>"),
        (["cfg.a", "evt.a.b"], "*.>"),
        (["evt.a", "evt.a.b"], "evt.>"),
        (["cfg.store.>", "cfg.rule.>"], "cfg.*.>"),
    ],
)
def test_one_filter_for_several_hears_at_least_as_much(filters: list[str], one: str) -> None:
    assert common(filters) == one
    for pattern in filters:
        literal = pattern.replace("*", "q").replace(">", "q.q")
        assert matches(pattern, literal)
        assert matches(one, literal)


def test_a_password_is_in_no_repr_and_may_not_be_in_the_address() -> None:
    settings = BusSettings(nats_url="nats://h:1", nats_user="u", nats_password="canary")
    assert "canary" not in repr(settings)
    with pytest.raises(ConfigurationError) as caught:
        assert BusSettings(nats_url="nats://u:canary@h:1").urls
    assert "canary" not in str(caught.value)


async def test_a_server_that_is_never_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.bus.connection.FIRST_WITHIN_S", 0.5)
    with pytest.raises(UnavailableError):
        await _opened("nats://127.0.0.1:1")


async def _opened(url: str) -> None:
    async with on(url):
        pass
