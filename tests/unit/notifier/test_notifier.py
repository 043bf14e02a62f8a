"""The notifier on the memory bus, with real receivers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from services.notifier.service import Notifier
from services.notifier.slots import SLOTS
from shared.bus import Appended, Expect
from shared.bus.memory import MemoryBus, MemoryServer
from shared.bus.redelivery import Redelivery
from shared.errors import UnavailableError
from shared.messages.base import Fact, Order, Setting, consequence
from shared.messages.facts import NotificationFailed, NotificationSent
from shared.messages.facts.notifications import NotificationFact
from shared.messages.settings import ChannelSetting, SettingRemoved
from shared.plugins import announced
from tests.support.waiting import eventually
from tests.unit.notifier.builders import (
    Folded,
    make_channel,
    make_failed,
    make_vault,
    subscribe,
)
from tests.unit.notifier.receiver import SECRET, Receiver, receiving

QUICK = Redelivery(silence_s=5.0, delays_s=(0.02,))


class Clock:
    """Monotonic seconds that a test may move on."""

    def __init__(self) -> None:
        self.moved_s = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.moved_s


@asynccontextmanager
async def notifying(server: MemoryServer, clock: Clock | None = None) -> AsyncIterator[None]:
    """A notifier at work; it ends with the block, as by kill -9."""
    bus = MemoryBus(server, source="notifier", pace=QUICK)
    notifier = Notifier(
        bus, make_vault(bus), Folded(bus), allow_loopback=True, clock=clock or Clock()
    )
    working = asyncio.create_task(notifier.listen())
    try:
        yield
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


async def endings(bus: MemoryBus) -> list[NotificationFact]:
    found = [one.message for one in await bus.last_of("evt.notification.>")]
    return [one for one in found if isinstance(one, NotificationFact)]


async def ended(bus: MemoryBus, count: int = 1) -> list[NotificationFact]:
    async def enough() -> bool:
        return len(await endings(bus)) >= count

    await eventually(enough)
    return await endings(bus)


async def test_a_fact_reaches_the_channel_whose_rule_wants_it(
    bus: MemoryBus, receiver: Receiver
) -> None:
    await subscribe(bus, "one", receiver.url)
    failed = make_failed()

    async with notifying(bus.server):
        await bus.append(failed)
        (sent,) = await ended(bus)

    assert isinstance(sent, NotificationSent)
    assert sent.notification_id == consequence(failed.id, "one")
    assert (sent.channel_id, sent.fact_id, sent.tries) == ("one", failed.id, 1)
    assert [heard["id"] for heard in receiver.heard] == [str(failed.id)]
    assert receiver.ids == [str(sent.notification_id)]


async def test_a_rule_made_while_the_notifier_runs_counts_at_once(
    bus: MemoryBus, receiver: Receiver
) -> None:
    async with notifying(bus.server):
        await subscribe(bus, "one", receiver.url)
        await bus.append(make_failed())
        await ended(bus)

    assert len(receiver.heard) == 1


async def test_what_was_said_before_the_rule_is_not_told(
    bus: MemoryBus, receiver: Receiver
) -> None:
    await bus.append(make_failed())
    await subscribe(bus, "one", receiver.url)
    later = make_failed()

    async with notifying(bus.server):
        await bus.append(later)
        await ended(bus)

    assert [heard["id"] for heard in receiver.heard] == [str(later.id)]


async def test_what_was_said_while_the_notifier_was_away_is_told(
    bus: MemoryBus, receiver: Receiver
) -> None:
    await subscribe(bus, "one", receiver.url)
    await bus.append(make_failed())

    async with notifying(bus.server):
        await ended(bus)

    assert len(receiver.heard) == 1


async def test_a_channel_that_is_off_or_removed_hears_nothing(
    bus: MemoryBus, receiver: Receiver
) -> None:
    for channel_id in ("off", "gone", "on"):
        await subscribe(bus, channel_id, receiver.url)
    channel = await make_channel(bus, "off", receiver.url)
    await bus.append(ChannelSetting(key="off", name="off", channel=channel.channel, enabled=False))
    await bus.append(SettingRemoved(key="gone", of="channel"))

    async with notifying(bus.server):
        await bus.append(make_failed())
        await ended(bus)
        await asyncio.sleep(0.1)

    assert [one.channel_id for one in await endings(bus)] == ["on"]
    assert receiver.requests == 1


async def test_a_refused_note_is_tried_again_when_it_is_due(
    bus: MemoryBus, receiver: Receiver
) -> None:
    receiver.answers = [(503, {}), (503, {})]
    await subscribe(bus, "one", receiver.url)
    clock = Clock()

    async with notifying(bus.server, clock):
        await bus.append(make_failed())
        for count, pause_s in ((1, 6.1), (2, 361.0)):
            await eventually(lambda: receiver.requests == count)  # noqa: B023 - asked at once
            await asyncio.sleep(0.1)
            assert receiver.requests == count, "tried before it was due"
            clock.moved_s += pause_s
        (sent,) = await ended(bus)

    assert isinstance(sent, NotificationSent)
    assert sent.tries == 3


async def test_a_receiver_that_is_gone_ends_the_note(bus: MemoryBus, receiver: Receiver) -> None:
    receiver.answers = [(410, {})]
    await subscribe(bus, "one", receiver.url)

    async with notifying(bus.server):
        await bus.append(make_failed())
        (failed,) = await ended(bus)

    assert isinstance(failed, NotificationFailed)
    assert failed.problem.code == "channel.gone"


async def test_a_secret_that_was_erased_ends_the_note(bus: MemoryBus, receiver: Receiver) -> None:
    await subscribe(bus, "one", receiver.url)
    (channel,) = await bus.last_of("cfg.channel.one")
    assert isinstance(channel.message, ChannelSetting)
    await make_vault(bus).erase(channel.message.channel["secret"]["key"])

    async with notifying(bus.server):
        await bus.append(make_failed())
        (failed,) = await ended(bus)

    assert isinstance(failed, NotificationFailed)
    assert failed.problem.code == "secret.unreadable"


async def test_a_hanging_receiver_holds_up_no_other(bus: MemoryBus, receiver: Receiver) -> None:
    async with receiving() as hanging:
        hanging.hang = asyncio.Event()
        await subscribe(bus, "hanging", hanging.url)
        await subscribe(bus, "one", receiver.url)

        async with notifying(bus.server):
            for _ in range(10):
                await bus.append(make_failed())
            await eventually(lambda: len(receiver.heard) == 10, within=4)

    assert hanging.heard == []


async def test_what_was_sent_is_not_sent_again_when_all_is_delivered_again(
    bus: MemoryBus, receiver: Receiver
) -> None:
    await subscribe(bus, "one", receiver.url)
    async with notifying(bus.server):
        for _ in range(5):
            await bus.append(make_failed())
        await ended(bus, 5)
    last_seq = (await bus.state("EVENTS")).last_seq

    bus.server.stream("EVENTS").durables.clear()  # as a repair that lost every position
    async with notifying(bus.server):
        await bus.append(make_failed())
        await ended(bus, 6)

    assert receiver.requests == 6
    assert (await bus.state("EVENTS")).last_seq == last_seq + 2


async def test_notifications_notify_nobody(bus: MemoryBus, receiver: Receiver) -> None:
    await subscribe(bus, "one", receiver.url, "backup.*", "notification.*")

    async with notifying(bus.server):
        await bus.append(make_failed())
        await ended(bus)
        await asyncio.sleep(0.1)

    assert receiver.requests == 1


async def test_each_channel_is_told_once_with_an_id_of_its_own(
    bus: MemoryBus, receiver: Receiver
) -> None:
    for channel_id in ("one", "two"):
        await subscribe(bus, channel_id, receiver.url)

    async with notifying(bus.server):
        await bus.append(make_failed())
        both = await ended(bus, 2)

    assert {str(one.notification_id) for one in both} == set(receiver.ids)
    assert len(receiver.ids) == 2


async def test_the_log_holds_no_secret_and_the_schema_is_announced(
    bus: MemoryBus, receiver: Receiver
) -> None:
    receiver.answers = [(410, {})]
    await subscribe(bus, "one", receiver.url)

    async with notifying(bus.server):
        await bus.append(make_failed())
        await ended(bus)
        schemas = await announced(bus, "channel")

    log = b"".join(one.data for one in bus.server.stream("EVENTS").messages)
    assert SECRET.encode() not in log
    assert schemas["webhook"]["properties"]["secret"]["writeOnly"] is True
    assert UUID(str((await endings(bus))[0].id))


async def test_more_channels_than_slots_are_all_told(bus: MemoryBus, receiver: Receiver) -> None:
    count = SLOTS + 2
    for number in range(count):
        await subscribe(bus, f"channel-{number}", receiver.url)

    async with notifying(bus.server):
        await bus.append(make_failed())
        await ended(bus, count)
        await asyncio.sleep(0.1)

    assert len(set(receiver.ids)) == len(receiver.ids) == count


class Cut(MemoryBus):
    """A bus that is cut off just when a delivery is to be noted, once."""

    cut = False

    async def append(
        self, message: Fact | Setting | Order, *, expect: Expect | None = None
    ) -> Appended:
        if isinstance(message, NotificationSent) and not self.cut:
            self.cut = True
            raise UnavailableError("NATS does not answer")
        return await super().append(message, expect=expect)


async def test_a_cut_after_the_receiver_accepted_does_not_send_again(
    bus: MemoryBus, receiver: Receiver
) -> None:
    await subscribe(bus, "one", receiver.url)
    cut_off = Cut(bus.server, source="notifier", pace=QUICK)
    notifier = Notifier(cut_off, make_vault(bus), Folded(bus), allow_loopback=True)
    working = asyncio.create_task(notifier.listen())

    await bus.append(make_failed())
    await ended(bus)
    working.cancel()

    assert cut_off.cut
    assert receiver.requests == 1
