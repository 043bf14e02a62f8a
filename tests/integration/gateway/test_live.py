"""Live events: resumed by cursor, shown after the projection, without secrets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from services.gateway import live
from services.gateway.live import Cursor, Live, LiveEvent, ResyncNeeded
from services.gateway.routes.events import _messages, _wanted
from shared.bus.base import EVENTS
from shared.messages.facts import BackupDeleted, UserSignedOut
from shared.messages.output import OutputLine
from shared.messages.values import Role
from tests.integration.gateway.platform import Gateway, Platform
from tests.support.waiting import eventually

ALL = _wanted(Role.ADMIN, frozenset(), "")


async def some(live: Live, count: int, after: Cursor | None = None, wanted: Any = ALL) -> list[Any]:
    """The next `count` events."""
    found: list[LiveEvent] = []
    async with asyncio.timeout(10), aclosing(live.listen(after, wanted)) as events:  # type: ignore[type-var]  # an async generator
        async for event in events:
            if event is not None:
                found.append(event)
            if len(found) == count:
                break
    return found


async def caught_up(gateway: Gateway, seq: int) -> None:
    await eventually(lambda: gateway.deps.live.cursor.events >= seq)


async def deleted(platform: Platform) -> BackupDeleted:
    fact = BackupDeleted(backup_id=uuid4(), freed_bytes=1)
    await platform.bus.append(fact)
    return fact


async def now_at(gateway: Gateway) -> Cursor:
    """Where live events are, once everything said so far has passed."""

    async def passed() -> bool:
        last = (await gateway.deps.bus.state(EVENTS)).last_seq
        return gateway.deps.live.cursor.events >= last

    await eventually(passed)
    return gateway.deps.live.cursor


async def test_a_listener_that_comes_back_misses_nothing_and_hears_nothing_twice(
    gateway: Gateway, platform: Platform
) -> None:
    facts = [await deleted(platform) for _ in range(3)]
    await caught_up(gateway, (await platform.bus.state("EVENTS")).last_seq)
    start = Cursor(gateway.deps.live.cursor.events - 3, 0)

    first = await some(gateway.deps.live, 2, start)
    rest = await some(gateway.deps.live, 1, first[-1].at)

    heard = [event.body["backup_id"] for event in first + rest]
    assert heard == [str(fact.backup_id) for fact in facts]


async def test_another_gateway_goes_on_from_the_same_cursor(
    gateway: Gateway, platform: Platform
) -> None:
    start = await now_at(gateway)
    fact = await deleted(platform)
    async with platform.gateway() as other:
        [event] = await some(other.deps.live, 1, start)

    assert event.body["backup_id"] == str(fact.backup_id)


async def test_an_event_is_not_shown_before_it_can_be_read(
    gateway: Gateway, platform: Platform
) -> None:
    start = await now_at(gateway)
    platform.projecting.clear()
    hearing = asyncio.create_task(some(gateway.deps.live, 1, start))
    await deleted(platform)
    await asyncio.sleep(0.3)
    early = hearing.done()

    platform.projecting.set()
    [event] = await hearing

    assert not early
    assert await gateway.deps.read_model.position() >= event.at.events


async def test_a_cursor_that_is_too_old_is_told_to_load_anew(
    gateway: Gateway, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "REMEMBERED_AT_START", 1)
    for _ in range(3):
        await deleted(platform)
    await caught_up(gateway, (await platform.bus.state("EVENTS")).last_seq)
    async with platform.gateway() as restarted:
        await caught_up(restarted, 1)
        messages = _messages(restarted.deps, Cursor(1, 0), ALL)
        said = [await anext(messages) for _ in range(2)]

        assert [message.event for message in said] == ["ready", "resync"]
        assert said[1].id == str(restarted.deps.live.cursor)
        with pytest.raises(ResyncNeeded):
            await some(restarted.deps.live, 1, Cursor(1, 0))


async def test_no_sealed_value_and_no_claim_reaches_a_listener(gateway: Gateway) -> None:
    start = await now_at(gateway)

    await gateway.add_server()
    [event] = await some(gateway.deps.live, 1, start)

    assert event.type == "setting.server"
    text = msgspec.json.encode(event.body).decode()
    assert "token" not in text
    assert event.body["endpoints"][0]["engine"].keys() == {"kind", "host", "port", "user"}


async def test_output_comes_only_to_those_who_watch_the_run(
    gateway: Gateway, platform: Platform
) -> None:
    run_id, start = uuid4(), await now_at(gateway)
    line = OutputLine(run_id=run_id, attempt=1, level="info", text="reading")

    await platform.bus.say(line)
    await deleted(platform)
    watching = await some(
        gateway.deps.live, 1, start, _wanted(Role.VIEWER, frozenset(), str(run_id))
    )
    everybody = await some(gateway.deps.live, 1, start)

    assert watching[0].body["text"] == "reading"
    assert everybody[0].type == "backup.deleted"


async def test_who_signed_in_is_told_to_administrators_only(
    gateway: Gateway, platform: Platform
) -> None:
    start = await now_at(gateway)
    await platform.bus.append(UserSignedOut(user_id="u1"))
    await deleted(platform)

    viewer = await some(gateway.deps.live, 1, start, _wanted(Role.VIEWER, frozenset(), ""))
    admin = await some(gateway.deps.live, 1, start)

    assert viewer[0].type == "backup.deleted"
    assert admin[0].type == "user.signed_out"


async def test_silence_is_broken_by_a_comment(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "QUIET_S", 0.05)

    nothing = _wanted(Role.ADMIN, frozenset({"nothing"}), "")
    messages: AsyncIterator[Any] = _messages(gateway.deps, None, nothing)
    said = [await anext(messages) for _ in range(2)]

    assert said[1].comment == "quiet"
    assert said[1].encode() == b": quiet\r\n\r\n"
