"""What every bus promises: one suite over the one in memory and a real nats-server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import timedelta
from typing import TypeAlias
from uuid import UUID, uuid4

import pytest

from shared.bus import Bus, Delivery, Draft, Expect, WrongSequenceError
from shared.bus import gate as gate_module
from shared.bus.base import AUDIT_CKPT, COMMANDS, EVENTS, LOGS, LeaveDelivery
from shared.bus.bootstrap import bootstrap
from shared.bus.deadletters import DURABLE, REASON, SEQ, STREAM, SUBJECT
from shared.bus.jetstream import BusSettings
from shared.bus.lease import LeaseLostError, held, led
from shared.bus.memory import MemoryBus, MemoryServer
from shared.errors import InvalidInputError, PlatformError, UnavailableError
from shared.messages.base import now
from shared.messages.facts import (
    BackupAttempted,
    BackupCancelled,
    BackupDeleteRequested,
    BackupExpired,
    BackupVerified,
)
from shared.messages.orders import DiscoverServer
from shared.messages.output import OutputLine
from shared.messages.settings import ClaimSetting, PolicySetting
from tests.support.bus import QUICK, plain_bus
from tests.support.waiting import eventually

Open: TypeAlias = Callable[..., AbstractAsyncContextManager[Bus]]


@pytest.fixture(params=["memory", "jetstream"])
async def opened(request: pytest.FixtureRequest) -> Open:
    """Opens a bus on the same server each time: `opened(gate=False)`."""
    if request.param == "memory":
        server = MemoryServer()

        @asynccontextmanager
        async def memory(*, gate: bool = False) -> AsyncIterator[Bus]:
            yield MemoryBus(server, gate=gate, pace=QUICK)

        return memory
    nats = request.getfixturevalue("nats")
    await bootstrap(BusSettings(nats_url=nats.url))
    return lambda *, gate=False: plain_bus(nats, gate=gate)


@pytest.fixture
async def bus(opened: Open) -> AsyncIterator[Bus]:
    async with opened() as one:
        yield one


def expired(backup_id: UUID | None = None) -> BackupExpired:
    return BackupExpired(backup_id=backup_id or uuid4(), reason="keep_last")


def attempted(backup_id: UUID, attempt: int) -> BackupAttempted:
    return BackupAttempted(
        backup_id=backup_id,
        run_id=backup_id,
        attempt=attempt,
        worker="w",
        store_id="s",
        prefix=f"{backup_id}/{attempt}",
    )


def order() -> DiscoverServer:
    return DiscoverServer(
        run_id=uuid4(), server_id=uuid4(), not_after=now() + timedelta(hours=1), sealed="x"
    )


@asynccontextmanager
async def working(
    bus: Bus, handler: object, durable: str = "d", **more: object
) -> AsyncIterator[None]:
    """A worker on the facts, inside the block."""
    filters = more.pop("filters", ["evt.>"])
    stream = more.pop("stream", EVENTS)
    task = asyncio.create_task(bus.work(durable, stream, filters, handler, **more))  # type: ignore[arg-type]  # a test's handler
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(check: Callable[[], bool], within_s: float = 8.0) -> None:
    async with asyncio.timeout(within_s):
        while not check():
            await asyncio.sleep(0.01)


async def heard(bus: Bus, count: int, **how: object) -> list[Delivery]:
    """The next `count` messages that `follow` yields."""
    found: list[Delivery] = []
    async with asyncio.timeout(8):
        async for delivery in bus.follow(EVENTS, **how):  # type: ignore[arg-type]  # passed through
            found.append(delivery)
            if len(found) == count:
                break
    return found


async def test_what_is_appended_stands_in_the_stream_with_its_headers(bus: Bus) -> None:
    message = expired()
    appended = await bus.append(message)
    (stored,) = await bus.last_of(message.subject)
    assert (stored.stream, stored.seq) == (EVENTS, appended.seq)
    assert stored.message == message
    assert stored.headers["ce-id"] == str(message.id)
    assert abs(stored.at - now()) < timedelta(seconds=30)


async def test_a_first_fact_lands_once_however_often_it_is_said(bus: Bus) -> None:
    message = expired()
    first = await bus.append(message, expect=Expect(0))
    again = await bus.append(message, expect=Expect(0))
    assert (first.already, again.already) == (False, True)
    assert first.seq == again.seq
    assert (await bus.state(EVENTS)).messages == 1


async def test_a_repeat_without_an_expectation_lands_once_too(bus: Bus) -> None:
    message = expired()
    first, again = await bus.append(message), await bus.append(message)
    assert (again.seq, again.already) == (first.seq, True)


async def test_a_first_fact_is_refused_where_another_stands(bus: Bus) -> None:
    backup_id = uuid4()
    await bus.append(expired(backup_id), expect=Expect(0))
    with pytest.raises(WrongSequenceError):
        await bus.append(expired(backup_id), expect=Expect(0))
    assert (await bus.state(EVENTS)).messages == 1


async def test_a_superseded_attempt_cannot_speak_any_more(bus: Bus) -> None:
    backup_id = uuid4()
    attempts = f"evt.backup.attempted.*.{backup_id}"
    first = await bus.append(attempted(backup_id, 1), expect=Expect(0, attempts))
    second = await bus.append(attempted(backup_id, 2), expect=Expect(first.seq, attempts))
    ended = BackupVerified(backup_id=backup_id, bytes_read=1, seconds=1.0)
    with pytest.raises(WrongSequenceError):
        await bus.append(ended, expect=Expect(first.seq, attempts))
    assert (await bus.append(ended, expect=Expect(second.seq, attempts))).already is False


async def test_a_wildcard_expectation_sees_every_verb_of_the_aggregate(bus: Bus) -> None:
    backup_id = uuid4()
    every = f"evt.backup.*.*.{backup_id}"
    await bus.append(attempted(backup_id, 1), expect=Expect(0, every))
    with pytest.raises(WrongSequenceError):
        await bus.append(expired(backup_id), expect=Expect(0, every))
    assert not (await bus.append(expired(), expect=Expect(0))).already


def with_claim(name: str, expect: int = 0) -> list[Draft]:
    policy = PolicySetting(key=uuid4().hex, name=name, keep_last=3)
    claim = ClaimSetting(key=f"hash-of-{name}", noun="policy", holder=policy.key)
    return [Draft(claim, Expect(expect)), Draft(policy, Expect(0))]


async def test_a_batch_lands_whole_and_in_order(bus: Bus) -> None:
    drafts = with_claim("daily")
    appended = await bus.append_all(drafts)
    found = await heard(bus, 2, after_seq=0)
    assert [one.message for one in found] == [draft.message for draft in drafts]
    assert found[-1].seq == appended.seq


async def test_a_batch_lands_not_at_all_where_one_expectation_fails(bus: Bus) -> None:
    await bus.append_all(with_claim("daily"))
    with pytest.raises(WrongSequenceError):
        await bus.append_all(with_claim("daily"))
    assert (await bus.state(EVENTS)).messages == 2


async def test_a_batch_said_again_lands_once(bus: Bus) -> None:
    drafts = with_claim("daily")
    first = await bus.append_all(drafts)
    again = await bus.append_all(drafts)
    assert (again.seq, again.already) == (first.seq, True)
    assert (await bus.state(EVENTS)).messages == 2


async def test_of_two_who_claim_a_name_at_once_one_gets_it(bus: Bus) -> None:
    tries = [bus.append_all(with_claim("daily")) for _ in range(4)]
    ended = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, WrongSequenceError) for one in ended) == 3
    assert (await bus.state(EVENTS)).messages == 2


async def test_the_last_of_each_subject_comes_in_the_order_of_the_stream(bus: Bus) -> None:
    backup_id = uuid4()
    await bus.append(expired(backup_id))
    await bus.append(attempted(backup_id, 1))
    await bus.append(expired())
    last = await bus.append(expired(backup_id))
    found = await bus.last_of(f"evt.backup.*.core.{backup_id}")
    assert [one.seq for one in found] == [2, last.seq]
    assert await bus.last_of(f"evt.backup.*.core.{uuid4()}") == []


async def test_the_last_line_of_a_run_is_found_too(bus: Bus) -> None:
    run_id = uuid4()
    for number in range(3):
        await bus.say(OutputLine(run_id=run_id, attempt=1, level="info", text=f"line {number}"))
    await bus.say(OutputLine(run_id=uuid4(), attempt=1, level="info", text="another's"))

    async def said() -> list[bytes]:
        return [one.data for one in await bus.last_of(f"log.*.{run_id}") if b"line 2" in one.data]

    assert len(await eventually(said)) == 1


async def test_a_durable_goes_on_where_it_was(opened: Open) -> None:
    heard_seqs: list[int] = []

    async def handler(delivery: Delivery) -> None:
        heard_seqs.append(delivery.seq)

    async with opened() as bus:
        await bus.append(expired())
        async with working(bus, handler):
            await until(lambda: heard_seqs == [1])
            await asyncio.sleep(0.2)
    async with opened() as bus:
        await bus.append(expired())
        async with working(bus, handler):
            await until(lambda: len(heard_seqs) >= 2)
    assert heard_seqs == [1, 2]


async def test_a_bug_is_delivered_again_until_it_passes(bus: Bus) -> None:
    tries: list[int] = []

    async def handler(delivery: Delivery) -> None:
        tries.append(delivery.tries)
        if delivery.tries < 3:
            raise ValueError("a bug")

    await bus.append(expired())
    async with working(bus, handler):
        await until(lambda: len(tries) == 3)
        await asyncio.sleep(0.3)
    assert tries == [1, 2, 3]
    assert await bus.dead_letters() == []


async def test_repeats_come_with_a_growing_delay(bus: Bus) -> None:
    at: list[float] = []

    async def handler(delivery: Delivery) -> None:
        at.append(asyncio.get_running_loop().time())
        if len(at) < 3:
            raise UnavailableError("not now")

    await bus.append(expired())
    async with working(bus, handler):
        await until(lambda: len(at) == 3)
    first, second = at[1] - at[0], at[2] - at[1]
    assert first >= QUICK.delays_s[0]
    assert second >= QUICK.delays_s[1]


async def test_what_can_never_pass_becomes_a_dead_letter_and_is_done_with(bus: Bus) -> None:
    class CannotError(PlatformError):
        code = "example.cannot"

    tries: list[int] = []

    async def handler(delivery: Delivery) -> None:
        tries.append(delivery.tries)
        raise CannotError("it\r\nnever works")

    message = expired()
    await bus.append(message)
    async with working(bus, handler, "storage"):
        async with asyncio.timeout(8):
            while not (letters := await bus.dead_letters("storage")):
                await asyncio.sleep(0.02)
        await asyncio.sleep(QUICK.silence_s + 0.3)
    (letter,) = letters
    assert tries == [1]
    assert letter.subject == "dlq.storage"
    assert letter.message == message
    assert {name: letter.headers[name] for name in (DURABLE, REASON, STREAM, SUBJECT, SEQ)} == {
        DURABLE: "storage",
        REASON: "example.cannot",
        STREAM: EVENTS,
        SUBJECT: message.subject,
        SEQ: "1",
    }


async def test_bytes_that_no_version_knows_are_dead_letters(bus: Bus) -> None:
    await bus.keep(EVENTS, "evt.backup.sung.core.x1", b'{"type":"backup.sung"}', key="x")

    async def handler(delivery: Delivery) -> None:
        assert delivery.message

    async with working(bus, handler), asyncio.timeout(8):
        while not (letters := await bus.dead_letters("d")):
            await asyncio.sleep(0.02)
    assert letters[0].headers[REASON] == "message.poison"


async def test_a_bug_that_stays_becomes_a_dead_letter_after_the_last_try(bus: Bus) -> None:
    tries: list[int] = []

    async def handler(delivery: Delivery) -> None:
        tries.append(delivery.tries)
        raise ValueError("always")

    await bus.append(expired())
    async with working(bus, handler), asyncio.timeout(8):
        while not (letters := await bus.dead_letters("d")):
            await asyncio.sleep(0.02)
    assert tries == list(range(1, QUICK.max_tries + 1))
    assert letters[0].headers[REASON] == "internal"


async def test_a_replayed_dead_letter_reaches_its_handler_as_it_first_was(bus: Bus) -> None:
    broken, seen = True, list[Delivery]()

    async def handler(delivery: Delivery) -> None:
        seen.append(delivery)
        if broken:
            raise InvalidInputError("not yet known")

    message = expired()
    await bus.append(message)
    async with working(bus, handler), asyncio.timeout(10):
        while not await bus.dead_letters("d"):
            await asyncio.sleep(0.02)
        broken = False
        assert await bus.replay("another") == 0
        assert await bus.replay("d") == 1
        await until(lambda: len(seen) == 2)
        assert await bus.replay("d") == 0
    assert (seen[1].stream, seen[1].subject, seen[1].seq) == (EVENTS, message.subject, 1)
    assert (seen[1].message, seen[1].tries) == (message, 1)
    assert await bus.dead_letters() == []


async def test_a_replay_that_fails_is_a_new_dead_letter(bus: Bus) -> None:
    async def handler(_: Delivery) -> None:
        raise InvalidInputError("never")

    message = expired()
    await bus.append(message)
    async with working(bus, handler), asyncio.timeout(10):
        while not await bus.dead_letters("d"):
            await asyncio.sleep(0.02)
        for _ in range(2):
            before = (await bus.dead_letters("d"))[0].seq
            await bus.replay("d")
            while not (letters := await bus.dead_letters("d")) or letters[0].seq == before:
                await asyncio.sleep(0.02)
    (letter,) = letters
    assert (letter.headers[SUBJECT], letter.headers[SEQ]) == (message.subject, "1")


async def test_a_cancelled_worker_leaves_its_delivery_to_another(opened: Open) -> None:
    begun, tries = asyncio.Event(), list[int]()

    async def hangs(_: Delivery) -> None:
        begun.set()
        await asyncio.Event().wait()

    async def handler(delivery: Delivery) -> None:
        tries.append(delivery.tries)

    async with opened() as bus:
        await bus.append(expired())
        async with working(bus, hangs):
            await asyncio.wait_for(begun.wait(), 5)
        async with working(bus, handler):
            await asyncio.sleep(QUICK.silence_s * 0.5)
            assert tries == []
            await until(lambda: tries == [2])


async def test_a_long_handler_is_not_started_twice(bus: Bus) -> None:
    tries: list[int] = []

    async def handler(delivery: Delivery) -> None:
        tries.append(delivery.tries)
        await asyncio.sleep(QUICK.silence_s * 2.2)

    await bus.append(expired())
    async with working(bus, handler, parallel=2):
        await asyncio.sleep(QUICK.silence_s * 3.5)
    assert tries == [1]


async def test_a_fenced_loser_neither_ends_nor_repeats_its_delivery(bus: Bus) -> None:
    at: list[float] = []

    async def handler(_: Delivery) -> None:
        at.append(asyncio.get_running_loop().time())
        if len(at) == 1:
            raise LeaveDelivery

    await bus.append(expired())
    async with working(bus, handler):
        await until(lambda: len(at) == 2)
    assert at[1] - at[0] > QUICK.silence_s * 0.6
    assert await bus.dead_letters() == []


@pytest.mark.parametrize("parallel", [1, 3])
async def test_no_more_handlers_run_at_once_than_asked_for(bus: Bus, parallel: int) -> None:
    running, most, done = 0, 0, 0

    async def handler(_: Delivery) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.05)
        running, done = running - 1, done + 1

    for _ in range(9):
        await bus.append(expired())
    async with working(bus, handler, parallel=parallel):
        await until(lambda: done == 9)
    assert most == parallel


async def test_a_durable_hears_all_of_its_filters_and_nothing_else(bus: Bus) -> None:
    subjects: set[str] = set()

    async def handler(delivery: Delivery) -> None:
        subjects.add(delivery.subject)

    wanted = [expired(), PolicySetting(key="p1", name="n", keep_last=1)]
    unwanted = attempted(uuid4(), 1)
    for message in (*wanted, unwanted):
        await bus.append(message)
    async with working(bus, handler, filters=["evt.backup.expired.*.>", "cfg.policy.>"]):
        await until(lambda: len(subjects) == 2)
        await asyncio.sleep(0.2)
    assert subjects == {message.subject for message in wanted}


async def test_an_order_goes_to_one_worker_of_its_pool(bus: Bus) -> None:
    seen: list[UUID] = []

    async def handler(delivery: Delivery) -> None:
        seen.append(delivery.message.id)

    orders = [order() for _ in range(6)]
    how = {"stream": COMMANDS, "filters": ["cmd.server.*.core.>"]}
    async with working(bus, handler, **how), working(bus, handler, **how):
        for one in orders:
            await bus.append(one, expect=Expect(0))
        await until(lambda: len(seen) >= 6)
        await asyncio.sleep(0.2)
    assert sorted(seen) == sorted(one.id for one in orders)


async def test_following_begins_after_a_sequence_and_goes_on_for_ever(bus: Bus) -> None:
    for _ in range(3):
        await bus.append(expired())
    following = asyncio.create_task(heard(bus, 4, after_seq=1))
    await asyncio.sleep(0.1)
    for _ in range(2):
        await bus.append(expired())
    assert [one.seq for one in await following] == [2, 3, 4, 5]


async def test_following_only_what_is_new(bus: Bus) -> None:
    await bus.append(expired())
    following = asyncio.create_task(heard(bus, 1, after_seq=-1))
    await asyncio.sleep(0.3)
    appended = await bus.append(expired())
    assert [one.seq for one in await following] == [appended.seq]


async def test_following_several_filters_keeps_the_order_of_the_stream(bus: Bus) -> None:
    backup_id, wanted = uuid4(), list[int]()
    for number in range(12):
        if number % 3 == 0:
            wanted.append((await bus.append(expired())).seq)
        elif number % 3 == 1:
            setting = PolicySetting(key=f"p{number}", name="n", keep_last=1)
            wanted.append((await bus.append(setting)).seq)
        else:
            await bus.append(attempted(backup_id, number))
    filters = ("evt.backup.expired.*.>", "cfg.policy.>")
    assert [one.seq for one in await heard(bus, 8, after_seq=0, filters=filters)] == wanted


async def guard(ok: bytes, bus: Bus) -> None:
    async def answer(_: bytes) -> bytes:
        return ok

    await bus.answer(gate_module.GUARD, answer)


async def test_facts_wait_until_the_auditor_opens_the_gate(opened: Open) -> None:
    async with opened() as auditor, opened(gate=True) as bus:
        appending = asyncio.create_task(bus.append(expired()))
        await asyncio.sleep(0.3)
        assert not appending.done()
        await guard(b'{"ok": true}', auditor)
        assert (await asyncio.wait_for(appending, 4)).seq == 1


@pytest.mark.parametrize("answer", [b'{"ok": false, "cause": "damage"}', b"{}", b"yes", b"\xff"])
async def test_writes_fail_clearly_while_the_auditor_does_not_say_ok(
    opened: Open, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.bus.gate.PATIENCE_S", 0.3)
    monkeypatch.setattr("shared.bus.memory.PATIENCE_S", 0.3)
    async with opened() as auditor, opened(gate=True) as bus:
        await guard(answer, auditor)
        with pytest.raises(UnavailableError, match="writes are held"):
            await bus.append(expired())
        with pytest.raises(UnavailableError, match="writes are held"):
            await bus.append_all(with_claim("daily"))
        assert (await bus.append(order(), expect=Expect(0))).seq == 1
        assert (await bus.state(EVENTS)).messages == 0


async def test_a_key_is_created_once_and_changed_only_over_its_revision(bus: Bus) -> None:
    bucket = bus.kv("keys")
    revision = await bucket.create("secret-1", b"one")
    assert revision is not None
    assert await bucket.create("secret-1", b"two") is None
    newer = await bucket.update("secret-1", b"two", revision=revision)
    assert newer is not None
    assert await bucket.update("secret-1", b"three", revision=revision) is None
    entry = await bucket.get("secret-1")
    assert entry is not None
    assert (entry.key, entry.value, entry.revision) == ("secret-1", b"two", newer)


async def test_a_deleted_key_is_gone_and_can_be_made_again(bus: Bus) -> None:
    bucket = bus.kv("keys")
    await bucket.put("a.b", b"one")
    await bucket.delete("a.b")
    assert await bucket.get("a.b") is None
    assert await bucket.keys() == []
    await bucket.delete("never-there")
    assert await bucket.create("a.b", b"two") is not None


async def test_keys_are_found_by_how_they_begin(bus: Bus) -> None:
    bucket = bus.kv("beats")
    for key in ("service.gateway.a", "service.gateway.b", "service.gate", "probe.core.x"):
        await bucket.put(key, b"x")
    assert await bucket.keys("service.gateway.") == ["service.gateway.a", "service.gateway.b"]
    assert await bucket.keys("service.gate") == [
        "service.gate",
        "service.gateway.a",
        "service.gateway.b",
    ]
    assert len(await bucket.keys()) == 4


async def test_an_entry_with_a_time_to_live_expires_and_its_name_is_free(bus: Bus) -> None:
    bucket = bus.kv("leases")
    revision = await bucket.create("run.x", b"me", ttl_s=1.0)
    assert revision is not None
    await asyncio.sleep(0.6)
    renewed = await bucket.update("run.x", b"me", revision=revision, ttl_s=1.0)
    assert renewed is not None
    await asyncio.sleep(0.6)
    assert await bucket.get("run.x") is not None
    await asyncio.sleep(1.2)
    assert await bucket.get("run.x") is None
    assert await bucket.update("run.x", b"me", revision=renewed, ttl_s=1.0) is None
    assert await bucket.create("run.x", b"you", ttl_s=1.0) is not None


async def test_a_watch_tells_what_stands_then_every_change_and_expiry(bus: Bus) -> None:
    bucket = bus.kv("leases")
    await bucket.put("a.one", b"1")
    await bucket.put("b.one", b"1")
    seen: list[tuple[str, bytes | None] | None] = []

    async def watch() -> None:
        async for entry in bucket.watch("a.*"):
            seen.append(entry and (entry.key, entry.value))  # noqa: PERF401 - it never ends

    watching = asyncio.create_task(watch())
    await until(lambda: None in seen)
    await bucket.put("b.two", b"2")
    await bucket.create("a.two", b"2", ttl_s=1.0)
    await bucket.delete("a.one")
    await until(lambda: len(seen) == 5)
    watching.cancel()
    assert seen == [("a.one", b"1"), None, ("a.two", b"2"), ("a.one", None), ("a.two", None)]


@pytest.mark.parametrize("key", ["", "a b", "a.>", "*", "a..b", "a\r\nPUB x", "a."])
async def test_a_key_that_could_mean_another_subject_is_refused(bus: Bus, key: str) -> None:
    with pytest.raises(InvalidInputError):
        await bus.kv("keys").put(key, b"x")


async def test_a_lease_has_one_holder_at_a_time_and_is_given_back(bus: Bus) -> None:
    order_of_events: list[str] = []

    async def holder(name: str) -> None:
        async with held(bus, "scheduler", name, ttl_s=1.0):
            order_of_events.append(f"{name} in")
            await asyncio.sleep(0.3)
            order_of_events.append(f"{name} out")

    async with asyncio.timeout(8):
        await asyncio.gather(holder("a"), holder("b"))
    first, second = order_of_events[0][0], order_of_events[2][0]
    assert order_of_events == [f"{first} in", f"{first} out", f"{second} in", f"{second} out"]
    assert {first, second} == {"a", "b"}


async def test_a_dead_holders_lease_is_taken_over_once_it_expires(bus: Bus) -> None:
    await bus.kv("leases").create("auditor", b"dead", ttl_s=1.0)
    began = asyncio.get_running_loop().time()
    async with asyncio.timeout(6), held(bus, "auditor", "standby", ttl_s=1.0):
        entry = await bus.kv("leases").get("auditor")
        assert entry is not None
        assert entry.value == b"standby"
    assert asyncio.get_running_loop().time() - began > 0.5
    assert await bus.kv("leases").get("auditor") is None


async def test_a_holder_learns_that_its_lease_is_lost(bus: Bus) -> None:
    async with asyncio.timeout(6), held(bus, "auditor", "old", ttl_s=1.0) as renewing:
        await bus.kv("leases").delete("auditor")
        await bus.kv("leases").create("auditor", b"new", ttl_s=30.0)
        with pytest.raises(LeaseLostError):
            await renewing
    entry = await bus.kv("leases").get("auditor")
    assert entry is not None
    assert entry.value == b"new"


async def test_a_leader_that_loses_its_lease_stands_by_and_leads_again(bus: Bus) -> None:
    terms: list[str] = []

    async def lead() -> None:
        terms.append("begun")
        try:
            await asyncio.sleep(60)
        finally:
            terms.append("over")

    leading = asyncio.create_task(led(bus, "auditor", "me", lead))
    await eventually(lambda: terms)
    await bus.kv("leases").delete("auditor")
    assert await bus.kv("leases").create("auditor", b"you", ttl_s=1.0)
    await eventually(lambda: terms == ["begun", "over"])
    await eventually(lambda: terms == ["begun", "over", "begun"])
    assert not leading.done()
    leading.cancel()
    await asyncio.wait({leading})
    assert terms[3:] == ["over"]
    assert await bus.kv("leases").get("auditor") is None


async def test_a_lease_outlives_its_first_time_to_live(bus: Bus) -> None:
    async with held(bus, "auditor", "me", ttl_s=1.0) as renewing:
        await asyncio.sleep(2.2)
        assert not renewing.done()
        assert await bus.kv("leases").create("auditor", b"you", ttl_s=1.0) is None


async def test_a_question_is_answered_or_fails_in_time(bus: Bus) -> None:
    async def answer(data: bytes) -> bytes:
        return b"you asked " + data

    await bus.answer("ask.example.what", answer)
    assert await bus.ask("ask.example.what", b"why") == b"you asked why"
    with pytest.raises(UnavailableError):
        await bus.ask("ask.example.nobody", timeout_s=0.2)


async def test_output_goes_to_the_logs(bus: Bus) -> None:
    line = OutputLine(run_id=uuid4(), attempt=1, level="info", text="hello")
    await bus.say(line)
    async with asyncio.timeout(5):
        async for delivery in bus.follow(LOGS, after_seq=0):
            assert delivery.message == line
            break


async def test_bytes_that_are_no_message_are_kept_once(bus: Bus) -> None:
    first = await bus.keep(AUDIT_CKPT, "ckpt.audit", b"a note", key="size-1")
    assert await bus.keep(AUDIT_CKPT, "ckpt.audit", b"a note", key="size-1") == first
    assert (await bus.state(AUDIT_CKPT)).messages == 1


async def test_a_fact_of_everybody_is_heard_by_each_durable(bus: Bus) -> None:
    seen: list[str] = []

    async def one(_: Delivery) -> None:
        seen.append("one")

    async def two(_: Delivery) -> None:
        seen.append("two")

    async with working(bus, one, "one"), working(bus, two, "two"):
        await bus.append(BackupDeleteRequested(backup_id=uuid4()))
        await bus.append(BackupCancelled(backup_id=uuid4(), run_id=uuid4(), attempt=0))
        await until(lambda: len(seen) == 4)
    assert sorted(seen) == ["one", "one", "two", "two"]


async def test_a_leader_that_is_cancelled_ends_also_when_its_work_fails_meanwhile(bus: Bus) -> None:
    begun = asyncio.Event()

    async def lead() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise UnavailableError("gone at the same moment")

    leading = asyncio.create_task(led(bus, "auditor", "me", lead))
    await begun.wait()
    leading.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait({leading})

    assert leading.cancelled()
