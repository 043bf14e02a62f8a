"""What people hear: once, when it is over, not at night, in one note; on the memory bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from services.notifier.digests import Digests
from services.notifier.memory import Memory
from services.notifier.service import Notifier
from shared.bus.base import EVENTS
from shared.bus.memory import MemoryBus, MemoryServer
from shared.bus.redelivery import Redelivery
from shared.messages.base import now
from shared.messages.facts import (
    BackupCompleted,
    ChannelDisabled,
    ChannelTestRequested,
    NotificationFailed,
    NotificationSent,
    RedeliveryRequested,
)
from shared.messages.settings import TemplateSetting
from shared.messages.values import Digest, QuietHours, Severity
from shared.notices.about import About
from tests.support.waiting import eventually
from tests.unit.auditor.events import backup_requested, completed
from tests.unit.notifier.builders import Folded, make_channel, make_failed, make_vault, subscribe
from tests.unit.notifier.receiver import Receiver, SlackReceiver, receiving
from tests.unit.notifier.test_notifier import endings

QUICK = Redelivery(silence_s=5.0, delays_s=(0.02,))
SHOP = About(
    server_id=str(UUID(int=1)),
    server="shop",
    environment="production",
    group_ids=["g1"],
    database_id=str(UUID(int=2)),
    database="orders",
    tags=["money"],
)


@asynccontextmanager
async def notifying(server: MemoryServer, about: About = SHOP) -> AsyncIterator[None]:
    bus = MemoryBus(server, source="notifier", pace=QUICK)
    notifier = Notifier(
        bus, make_vault(bus), Folded(bus, about), allow_loopback=True, look_every_s=0.05
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
    async with receiving(kind=SlackReceiver) as one:
        yield one


def make_completed() -> BackupCompleted:
    return completed(backup_requested())


async def heard(receiver: Receiver, count: int) -> list[str]:
    await eventually(lambda: len(receiver.texts) >= count, within=10)
    return receiver.texts


async def test_a_repeat_is_counted_and_the_end_told_once(
    bus: MemoryBus, receiver: Receiver
) -> None:
    await subscribe(bus, "team", receiver.url, "backup.failed", kind="slack")
    async with notifying(bus.server):
        for _ in range(3):
            await bus.append(make_failed())
        for _ in range(2):
            await bus.append(make_completed())
        await heard(receiver, 2)
        await bus.append(make_failed())
        texts = await heard(receiver, 3)

    failed, recovered = sorted(texts[:2])  # two posts at once: either may be heard first
    assert failed.startswith("Backup of orders on shop failed: no such database")
    assert recovered.startswith("Recovered after 3 failures: Backup of orders on shop completed")
    assert texts[2].startswith("Backup of orders on shop failed")
    purposes = [one.purpose for one in await endings(bus)]
    assert sorted(purposes[:2]) == ["fact", "recovered"]
    assert purposes[2:] == ["fact"]


async def test_what_was_told_is_known_after_a_restart(bus: MemoryBus, receiver: Receiver) -> None:
    await subscribe(bus, "team", receiver.url, "backup.failed", kind="slack")
    async with notifying(bus.server):
        await bus.append(make_failed())
        await heard(receiver, 1)
    appended = (await bus.state(EVENTS)).last_seq

    async with notifying(bus.server):
        for _ in range(4):
            await bus.append(make_failed())
        await bus.append(make_completed())
        texts = await heard(receiver, 2)

    assert texts[1].startswith("Recovered after 5 failures")
    # No event for what was only counted: five facts, and one delivery.
    assert (await bus.state(EVENTS)).last_seq == appended + 6


async def test_a_program_hears_every_fact(bus: MemoryBus) -> None:
    async with receiving() as receiver:
        await subscribe(bus, "hook", receiver.url, "backup.failed")
        async with notifying(bus.server):
            for _ in range(3):
                await bus.append(make_failed())
            await bus.append(make_completed())
            await heard(receiver, 3)

    assert [one.fact_type for one in await endings(bus)] == ["backup.failed"] * 3


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        ({"min_severity": Severity.ERROR}, 1),
        ({"min_severity": Severity.CRITICAL}, 0),
        ({"environments": ["production"]}, 1),
        ({"environments": ["staging"]}, 0),
        ({"group_ids": ["g1", "g2"]}, 1),
        ({"group_ids": ["g2"]}, 0),
        ({"tags": ["money"]}, 1),
        ({"tags": ["other"]}, 0),
    ],
)
async def test_a_rule_hears_by_severity_environment_group_and_tag(
    bus: MemoryBus, receiver: Receiver, rule: dict[str, object], wanted: int
) -> None:
    await subscribe(bus, "team", receiver.url, "backup.failed", kind="slack", **rule)
    async with receiving() as last:
        await subscribe(bus, "last", last.url, "backup.failed")
        async with notifying(bus.server):
            await bus.append(make_failed())
            await heard(last, 1)
            await heard(receiver, wanted)
            await asyncio.sleep(0.1)

    assert len(receiver.texts) == wanted


async def test_what_has_no_place_is_of_no_environment(bus: MemoryBus, receiver: Receiver) -> None:
    await subscribe(
        bus, "team", receiver.url, "backup.*", kind="slack", environments=["production"]
    )
    async with receiving() as last:
        await subscribe(bus, "last", last.url, "backup.failed")
        async with notifying(bus.server, About()):
            await bus.append(make_failed())
            await heard(last, 1)
            await asyncio.sleep(0.1)

    assert receiver.texts == []


def quiet_now() -> QuietHours:
    at = now()
    begins, ends = at - timedelta(hours=1), at + timedelta(hours=1)
    return QuietHours(begins=f"{begins:%H:%M}", ends=f"{ends:%H:%M}")


class Later:
    """A clock that is ahead."""

    def __init__(self, hours: float) -> None:
        self.ahead = timedelta(hours=hours)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


async def held(bus: MemoryBus, count: int) -> None:
    async def enough() -> bool:
        return len(await bus.kv("notes").keys("held.")) >= count

    await eventually(enough)


async def test_quiet_hours_hold_back_until_one_digest_and_critical_passes(
    bus: MemoryBus, receiver: Receiver
) -> None:
    await subscribe(
        bus,
        "team",
        receiver.url,
        "backup.*",
        "service.*",
        kind="slack",
        quiet=quiet_now(),
        repeat_after_s=0,
    )
    from shared.messages.facts import ServiceWentDown

    async with notifying(bus.server):
        await bus.append(make_failed())
        await bus.append(make_failed())
        await held(bus, 2)
        await bus.append(ServiceWentDown(service="storage"))
        (critical,) = await heard(receiver, 1)
    assert "went down" in critical

    digests = Digests(
        bus, Memory(bus), Folded(bus, SHOP), _courier(bus), clock=Later(2), look_every_s=0.05
    )
    await digests.look()
    await digests.look()

    assert len(receiver.texts) == 2
    assert receiver.texts[1].count("Backup of orders on shop failed") == 2
    sent = (await endings(bus))[-1]
    assert (sent.purpose, sent.facts) == ("digest", 2)
    assert await bus.kv("notes").keys("held.") == []


def _courier(bus: MemoryBus) -> object:
    from services.notifier.courier import Courier

    return Courier(bus, make_vault(bus), allow_loopback=True)


async def test_a_digest_that_was_refused_is_sent_again_and_holds_the_same(
    bus: MemoryBus, receiver: Receiver
) -> None:
    receiver.answers = [(503, {})]
    daily = Digest(every="day", at="00:00")
    await subscribe(bus, "team", receiver.url, "backup.*", kind="slack", digest=daily)
    async with notifying(bus.server):
        await bus.append(make_completed())
        await bus.append(make_completed())
        await held(bus, 2)

    for _ in range(2):  # each with a courier of its own, as after a restart
        later = Digests(bus, Memory(bus), Folded(bus, SHOP), _courier(bus), clock=Later(25))
        await later.look()
    async with notifying(bus.server):  # all facts again, as after a repair
        bus.server.stream(EVENTS).durables.clear()
        await asyncio.sleep(0.3)

    assert receiver.requests == 2
    assert [one.facts for one in await endings(bus)] == [2]
    assert await bus.kv("notes").keys("held.") == []


async def test_a_template_chooses_the_words(bus: MemoryBus, receiver: Receiver) -> None:
    words = "{{ severity }} {{ database }}@{{ environment }}: {{ problem.cause }}"
    await bus.append(TemplateSetting(key="t1", name="short", channel_kind="slack", body=words))
    await subscribe(bus, "team", receiver.url, "backup.*", kind="slack", template_id="t1")
    async with notifying(bus.server):
        await bus.append(make_failed())
        (text,) = await heard(receiver, 1)

    assert text == "error orders@production: no such database"


async def test_a_410_disables_the_channel_until_it_is_changed(
    bus: MemoryBus, receiver: Receiver
) -> None:
    receiver.answers = [(410, {})]
    await subscribe(bus, "team", receiver.url, "backup.*", kind="slack", repeat_after_s=0)
    async with notifying(bus.server):
        await bus.append(make_failed())
        await eventually(lambda: bus.last_of("evt.channel.disabled.>"))
        async with receiving() as last:
            await subscribe(bus, "last", last.url, "backup.failed")
            await bus.append(make_failed())
            await heard(last, 1)
        assert receiver.requests == 1
        await bus.append(await make_channel(bus, "team", receiver.url, "slack"))
        await bus.append(make_failed())
        await heard(receiver, 1)

    (said,) = await bus.last_of("evt.channel.disabled.>")
    assert isinstance(said.message, ChannelDisabled)
    assert said.message.problem.code == "channel.gone"


async def test_a_test_note_is_sent_once_whatever_the_rules_say(
    bus: MemoryBus, receiver: Receiver
) -> None:
    receiver.answers = [(503, {})]
    await bus.append(await make_channel(bus, "team", receiver.url, "slack"))
    async with notifying(bus.server):
        for _ in range(2):
            wish = ChannelTestRequested(channel_id="team", notification_id=uuid4())
            await bus.append(wish)
            await eventually(
                lambda wish=wish: bus.last_of(f"evt.notification.*.core.{wish.notification_id}")  # type: ignore[misc]
            )

    first, second = await endings(bus)
    assert isinstance(first, NotificationFailed)
    assert isinstance(second, NotificationSent)
    assert {first.purpose, second.purpose} == {"test"}
    assert receiver.requests == 2


async def test_a_redelivery_tells_the_same_fact_under_the_same_id(bus: MemoryBus) -> None:
    async with receiving() as receiver:
        await subscribe(bus, "hook", receiver.url)
        async with notifying(bus.server):
            await bus.append(make_failed())
            await heard(receiver, 1)
            await eventually(lambda: endings(bus))
            (sent,) = await endings(bus)
            again = RedeliveryRequested(
                redelivery_id=uuid4(),
                notification_id=sent.notification_id,
                channel_id="hook",
                fact_id=sent.fact_id,
                fact_type=sent.fact_type,
            )
            await bus.append(again)
            await heard(receiver, 2)

    assert receiver.ids == [str(sent.notification_id)] * 2
    assert receiver.heard[0]["data"] == receiver.heard[1]["data"]


async def test_a_receiver_that_hangs_delays_no_other_even_of_its_own_durable(
    bus: MemoryBus, receiver: Receiver
) -> None:
    from services.notifier.slots import SLOTS

    async with receiving(kind=SlackReceiver) as hanging:
        hanging.hang = asyncio.Event()
        await subscribe(bus, "hanging", hanging.url, kind="slack", repeat_after_s=0)
        for number in range(SLOTS - 1):  # so that the next one shares the first durable
            await bus.append(await make_channel(bus, f"idle-{number}", receiver.url, "slack"))
        await subscribe(bus, "neighbour", receiver.url, kind="slack", repeat_after_s=0)
        async with notifying(bus.server):
            for _ in range(40):
                await bus.append(make_failed())
            await heard(receiver, 40)

    assert hanging.heard == []
