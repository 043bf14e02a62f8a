"""The notifier with real NATS, the real read model and a receiver that checks signatures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.notifier.service import Notifier
from services.notifier.subscriptions import ReadModelSubscriptions
from shared.messages.facts import NotificationFailed, NotificationSent
from shared.messages.settings import ChannelSetting, SettingRemoved
from tests.integration.storage.world import World, running
from tests.support.waiting import eventually
from tests.unit.notifier.builders import make_channel, make_failed, make_vault, subscribe
from tests.unit.notifier.receiver import Receiver, receiving


@asynccontextmanager
async def notifying(platform: World) -> AsyncIterator[None]:
    """A notifier over a connection of its own; it ends with the block, as by kill -9."""
    async with platform.own_bus("notifier") as bus:
        subscriptions = ReadModelSubscriptions(platform.model)
        notifier = Notifier(bus, make_vault(bus), subscriptions, allow_loopback=True)
        async with running(notifier.listen()):
            yield


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


async def test_a_fact_is_told_once_to_each_channel_that_wants_it(
    platform: World, receiver: Receiver
) -> None:
    await platform.bus.append(make_failed())  # before there was a rule
    await subscribe(platform.bus, "one", receiver.url)
    await subscribe(platform.bus, "two", receiver.url, "backup.failed")
    await subscribe(platform.bus, "three", receiver.url, "restore.*")
    failed = make_failed()

    async with notifying(platform):
        await platform.bus.append(failed)
        sent = await platform.heard(NotificationSent, 2)
        await asyncio.sleep(0.3)

    assert {(one.channel_id, one.fact_id) for one in sent} == {
        ("one", failed.id),
        ("two", failed.id),
    }
    assert sorted(receiver.ids) == sorted(str(one.notification_id) for one in sent)


async def test_a_killed_notifier_goes_on_where_it_was_and_repeats_nothing_that_was_sent(
    platform: World, receiver: Receiver
) -> None:
    await subscribe(platform.bus, "one", receiver.url)
    async with notifying(platform):
        await platform.bus.append(make_failed())
        await platform.heard(NotificationSent)
    for _ in range(3):
        await platform.bus.append(make_failed())

    async with notifying(platform):
        sent = await platform.heard(NotificationSent, 4)

    assert receiver.ids == [str(one.notification_id) for one in sent]


async def test_a_hanging_receiver_holds_up_no_other(platform: World, receiver: Receiver) -> None:
    async with receiving() as hanging:
        hanging.hang = asyncio.Event()
        await subscribe(platform.bus, "hanging", hanging.url)
        await subscribe(platform.bus, "one", receiver.url)

        async with notifying(platform):
            for _ in range(10):
                await platform.bus.append(make_failed())
            await eventually(lambda: len(receiver.heard) == 10, within=4)

    assert hanging.heard == []


async def test_a_refused_note_comes_again_and_a_410_ends_it(
    platform: World, receiver: Receiver
) -> None:
    receiver.answers = [(503, {}), (410, {})]
    await subscribe(platform.bus, "one", receiver.url)

    async with notifying(platform):
        await platform.bus.append(make_failed())
        (failed,) = await platform.heard(NotificationFailed, within=25)

    assert (failed.tries, failed.problem.code) == (2, "channel.gone")


async def test_channels_that_are_off_or_removed_hear_nothing(
    platform: World, receiver: Receiver
) -> None:
    for channel_id in ("off", "gone", "on"):
        await subscribe(platform.bus, channel_id, receiver.url)
    channel = (await make_channel(platform.bus, "off", receiver.url)).channel
    await platform.bus.append(ChannelSetting(key="off", name="off", channel=channel, enabled=False))
    await platform.bus.append(SettingRemoved(key="gone", of="channel"))

    async with notifying(platform):
        await platform.bus.append(make_failed())
        await platform.heard(NotificationSent)
        await asyncio.sleep(0.3)

    assert [one.channel_id for one in await platform.all_of(NotificationSent)] == ["on"]
    assert receiver.requests == 1
