"""Live events: resumed by cursor, shown after the projection, without secrets."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from services.gateway import live
from services.gateway.callers import Caller
from services.gateway.listening import Asked, Listener, may_hear
from services.gateway.live import Cursor, Live, LiveEvent, ResyncNeeded, Wanted
from services.gateway.routes.events import messages
from shared.bus.base import EVENTS
from shared.messages.facts import BackupDeleted, BackupRequested, UserSignedOut
from shared.messages.output import OutputLine, OutputProgress
from shared.messages.settings import GroupSetting, UserSetting
from shared.messages.values import DatabaseRef, Grant, Role
from tests.integration.gateway.platform import Gateway, Platform
from tests.integration.gateway.test_accounts import sign_in_as
from tests.integration.gateway.test_backups import projected
from tests.support.waiting import eventually

ADMIN = Caller(user_id="u1", role=Role.ADMIN, session_id="s")
VIEWER = Caller(user_id="u2", role=Role.VIEWER, session_id="s")


def hears(caller: Caller, asked: Asked = Asked()) -> Wanted:  # noqa: B008 - frozen
    """What `caller` hears of what they asked for."""
    return lambda event: asked.includes(event) and may_hear(caller, event)


ALL = hears(ADMIN)


def kind_of(framed: bytes) -> str:
    """What a listener's `EventSource` would call the event."""
    return framed.decode().partition("event: ")[2].partition("\r\n")[0]


async def signed_in(gateway: Gateway) -> Caller:
    """The account that the gateway's client is signed in as."""
    token = gateway.client.headers["authorization"].removeprefix("Bearer ")
    return await gateway.deps.identities.caller(gateway.deps.tokens.read(token))


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
        stream = messages(
            restarted.deps,
            Cursor(1, 0),
            Listener(restarted.deps.identities, await signed_in(gateway), Asked()),
        )
        said = [await anext(stream) for _ in range(2)]

        assert [kind_of(framed) for framed in said] == ["ready", "resync"]
        assert f"id: {restarted.deps.live.cursor}\r\n" in said[1].decode()
        with pytest.raises(ResyncNeeded):
            await some(restarted.deps.live, 1, Cursor(1, 0))


async def test_who_waits_for_one_noun_is_let_past_everything_else_however_much_that_is(
    gateway: Gateway, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "RING", 4)
    async with platform.gateway() as small:
        await caught_up(small, (await platform.bus.state("EVENTS")).last_seq)
        hearing = asyncio.create_task(
            some(small.deps.live, 1, wanted=hears(ADMIN, Asked(topics=frozenset({"group"}))))
        )
        await asyncio.sleep(0)  # it waits
        for _ in range(10):
            await deleted(platform)
        await caught_up(small, (await platform.bus.state("EVENTS")).last_seq)
        assert not hearing.done()

        await platform.bus.append(GroupSetting(key=str(uuid4()), name="a group"))

        [event] = await hearing
        assert event.noun == "group"


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
    start = await now_at(gateway)
    run_id = uuid4()
    line = OutputLine(run_id=run_id, attempt=1, level="info", text="reading")

    await platform.bus.say(line)
    await deleted(platform)
    watching = await some(gateway.deps.live, 1, start, hears(VIEWER, Asked(run=str(run_id))))
    everybody = await some(gateway.deps.live, 1, start)

    assert watching[0].body["text"] == "reading"
    assert everybody[0].type == "backup.deleted"


async def test_one_stream_carries_all_events_the_progress_of_all_runs_and_the_log_of_some(
    gateway: Gateway, platform: Platform
) -> None:
    start = await now_at(gateway)
    watched, other = uuid4(), uuid4()
    asked = Asked(progress=True, logs_of=frozenset({str(watched)}))

    for run_id in (other, watched):
        await platform.bus.say(OutputLine(run_id=run_id, attempt=1, level="info", text="reading"))
        await platform.bus.say(OutputProgress(run_id=run_id, attempt=1, stage="dump"))
    await deleted(platform)
    heard = await some(gateway.deps.live, 4, start, hears(VIEWER, asked))

    said = sorted((event.type, event.run_id == str(watched)) for event in heard)
    assert said == [
        ("backup.deleted", False),
        ("output.line", True),
        ("output.progress", False),
        ("output.progress", True),
    ]


async def test_who_signed_in_is_told_to_administrators_only(
    gateway: Gateway, platform: Platform
) -> None:
    start = await now_at(gateway)
    await platform.bus.append(UserSignedOut(user_id="u1"))
    await deleted(platform)

    viewer = await some(gateway.deps.live, 1, start, hears(VIEWER))
    admin = await some(gateway.deps.live, 1, start)

    assert viewer[0].type == "backup.deleted"
    assert admin[0].type == "user.signed_out"


async def test_silence_is_broken_by_a_comment(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "QUIET_S", 0.05)

    nothing = Asked(frozenset({"nothing"}))
    listener = Listener(gateway.deps.identities, await signed_in(gateway), nothing)
    stream = messages(gateway.deps, None, listener)
    said = [await anext(stream) for _ in range(2)]

    assert said[1] == b": quiet\r\n\r\n"


async def test_listeners_hear_of_their_scope_only(gateway: Gateway, platform: Platform) -> None:
    """Facts that only name a backup or a run are told to the scope of its server."""
    start = await now_at(gateway)
    staging, production = [
        await asked_for_a_backup(gateway, environment) for environment in ("staging", "production")
    ]
    for asked in (production, staging):
        await platform.bus.append(BackupDeleted(backup_id=asked.backup_id, freed_bytes=1))
        await platform.bus.say(
            OutputLine(run_id=asked.run_id, attempt=1, level="info", text=str(asked.run_id))
        )
    grant = Grant(role=Role.VIEWER, environments=["staging"])
    scoped = msgspec.structs.replace(VIEWER, grants=(grant,))
    asked_for = Asked(frozenset({"server", "backup", "log"}))

    heard = await some(gateway.deps.live, 4, start, hears(scoped, asked_for))

    assert {event.type for event in heard} == {
        "setting.server",
        "backup.requested",
        "backup.deleted",
        "output.line",
    }
    assert str(production.backup_id) not in repr(heard)
    assert str(production.run_id) not in repr(heard)


async def test_a_stream_ends_with_its_session(gateway: Gateway) -> None:
    listener = Listener(gateway.deps.identities, await signed_in(gateway), Asked())
    stream = messages(gateway.deps, await now_at(gateway), listener)
    first = await anext(stream)

    await gateway.call("POST", "/auth/logout")
    rest = [kind_of(framed) async for framed in stream]

    assert kind_of(first) == "ready"
    assert rest in ([], ["user.signed_out"])


async def test_a_stream_shrinks_with_the_rights_of_its_account(
    gateway: Gateway, platform: Platform
) -> None:
    admin = gateway.client.headers["authorization"]
    user_id = await sign_in_as(gateway, Role.VIEWER)
    listener = Listener(gateway.deps.identities, await signed_in(gateway), Asked())
    stream = messages(gateway.deps, await now_at(gateway), listener)
    await anext(stream)
    [before] = await platform.bus.last_of(f"cfg.user.{user_id}")
    assert isinstance(before.message, UserSetting)

    narrowed = msgspec.structs.replace(
        before.message, id=uuid4(), grants=[Grant(role=Role.VIEWER, environments=["staging"])]
    )
    await platform.bus.append(narrowed)
    gateway.client.headers["authorization"] = admin
    await asked_for_a_backup(gateway, "production")
    told = await asked_for_a_backup(gateway, "staging")
    heard = [await anext(stream) for _ in range(2)]

    assert [kind_of(framed) for framed in heard] == ["setting.server", "backup.requested"]
    assert str(told.backup_id) in heard[1].decode()


async def asked_for_a_backup(gateway: Gateway, environment: str) -> BackupRequested:
    """A request for a backup of a new server in `environment`."""
    server = await gateway.add_server(name=environment, environment=environment)
    asked = BackupRequested(
        backup_id=uuid4(),
        run_id=uuid4(),
        database=DatabaseRef(server_id=UUID(server["id"]), endpoint="main", name="orders"),
        store_id="s",
        run_pool="core",
    )
    await projected(gateway, asked)
    return asked
