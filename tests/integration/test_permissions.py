"""Who may say and hear what: every cell of the matrix, tried on a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import get_args

import nats
import pytest
from nats.aio.client import Client

from shared.bus.base import EVENTS
from shared.bus.configuration import AGENT_API
from shared.bus.connection import Connection
from shared.bus.outside import OUTSIDE_API, make_consumers
from shared.messages.facts import AnyFact
from shared.messages.orders import AnyOrder
from shared.messages.settings import AnySetting
from tests.support.bus import SERVICES, PlatformNats, platform_nats

POOLS = ("core", "p1", "p2")
STREAMS = ("EVENTS", "COMMANDS", "LOGS", "DLQ", "AUDIT_CKPT", "KV_keys", "KV_leases", "KV_sessions")


def said(kind: str, types: str, pools: tuple[str, ...] = ("core",)) -> set[str]:
    """The subjects of some types, on some pools: `backup: failed completed`."""
    noun, _, verbs = types.partition(": ")
    return {f"{kind}.{noun}.{verb}.{pool}.x1" for verb in verbs.split() for pool in pools}


NOUNS = (
    *("platform", "user", "api_key", "server", "group", "store", "policy"),
    *("database", "channel", "rule", "template", "claim", "command"),
    *("schedule", "blackout", "objective"),
)
ATTEMPTS = "attempted completed failed cancelled"
MAY_SAY: dict[str, set[str]] = {
    "gateway": said("evt", "backup: requested delete_requested undeleted held released")
    | said("evt", "backup: download_requested downloaded download_failed")
    | said("evt", "backup: verify_requested")
    | said("evt", "archive: requested")
    | said("evt", "store: test_requested import_requested")
    | said("evt", "execution: requested")
    | said("evt", "audit: exported")
    | said("evt", "letter: retried")
    | said("evt", "restore: requested")
    | said("evt", "server: test_requested discovery_requested")
    | said("evt", "run: cancel_requested", POOLS)
    | said("evt", "dispatch: paused resumed")
    | said("evt", "channel: test_requested")
    | said("evt", "redelivery: requested")
    | said("evt", "user: signed_in sign_in_refused signed_out")
    | said("evt", "user: password_changed sessions_ended")
    | said("evt", "key: erased export_requested")
    | {f"cfg.{noun}.x1" for noun in NOUNS if noun != "platform"}
    | {"retry.x1", "$KV.sessions.x1", "$KV.idempotency.x1", "$KV.keys.x1"}
    | {"$KV.attempts.x1", "$KV.key_uses.x1"},
    "scheduler": said("evt", "run: dispatched")
    | said("evt", "backup: requested attempted failed cancelled")
    | said("evt", "backup: download_granted download_refused rewrapped imported corrupted")
    | said("evt", "store: imported")
    | said("evt", "archive: rewrapped corrupted")
    | said("evt", "key: rewrapped")
    | said("evt", "restore: requested attempted failed cancelled")
    | said("evt", "execution: failed")
    | said("evt", "schedule: warned")
    | said("evt", "server: tested discovered")
    | said("cmd", "backup: run", POOLS)
    | said("cmd", "restore: run", POOLS)
    | said("cmd", "verification: run", POOLS)
    | said("cmd", "server: test discover probe", POOLS)
    | {"dlq.scheduler-requests", "dlq.scheduler-downloads", "dlq.scheduler-imports"}
    | {"$KV.leases.scheduler"},
    "executor": said("evt", f"backup: {ATTEMPTS} corrupted")
    | said("evt", "archive: corrupted")
    | said("evt", f"restore: {ATTEMPTS}")
    | said("evt", "server: tested discovered")
    | {"log.core.x1", "$KV.keys.worker.core", "$KV.beats.probe.core.x1", "$KV.leases.run.core.x1"}
    | {"$KV.schemas.engine", "$KV.schemas.runner", "dlq.executor-core-backup"},
    "storage": said(
        "evt",
        "backup: verified verify_failed corrupted deletion_begun deleted garbage_deleted moved",
    )
    | said("evt", "store: tested filling relieved")
    | said("evt", "group: filling relieved")
    | {"dlq.storage-tests"}
    | said("evt", "archive: requested replicated failed deletion_begun deleted")
    | said("evt", "archive: verified corrupted expired")
    | {"$KV.schemas.store", "$KV.leases.storage.x1.x1", "$KV.scrubs.x1"},
    "retention": said("evt", "backup: expired undeleted")
    | said("evt", "archive: expired undeleted")
    | {"dlq.retention"},
    "notifier": said("evt", "notification: sent failed")
    | said("evt", "channel: disabled")
    | {"$KV.notes.x1", "$KV.leases.notifier"}
    | {"$KV.schemas.channel", "dlq.x1", "dlq.scheduler-requests", "dlq.scheduler-downloads"}
    | {"dlq.scheduler-imports"}
    | {"dlq.storage-tests"}
    | {"dlq.executor-core-backup", "dlq.retention"},
    "auditor": said("evt", "log: repaired clock_turned_back")
    | {"ckpt.audit", "$KV.leases.auditor", "$KV.keys.x1"}
    | {f"$KV.keys.worker.{pool}" for pool in POOLS},
    "health": said("evt", "server: health_changed")
    | said("evt", "service: went_down came_back")
    | said("evt", "objective: endangered missed met")
    | said("evt", "schedule: missed caught_up")
    | said("cmd", "server: probe", POOLS)
    | {"$KV.leases.health"},
}
for _name in SERVICES:
    MAY_SAY[_name] |= {"ask.auditor.guard", f"$KV.beats.service.{_name}.x1"}

MAY_READ: dict[str, dict[str, set[str]]] = {
    "gateway": {"EVENTS": {">"}, "LOGS": {">"}, "DLQ": {">"}, "AUDIT_CKPT": {"ckpt.audit"}},
    "scheduler": {"EVENTS": {">"}, "COMMANDS": {"cmd.>"}, "DLQ": {"dlq.>"}},
    "executor": {"EVENTS": {"evt.*.*.core.>"}, "COMMANDS": {"cmd.*.*.core.>"}},
    "storage": {"EVENTS": {">"}},
    "retention": {"EVENTS": {"evt.backup.>", "cfg.policy.>"}},
    "notifier": {"EVENTS": {">"}},
    "auditor": {"EVENTS": {">"}, "AUDIT_CKPT": {"ckpt.audit", ">"}},
    "health": {
        "EVENTS": {
            "evt.server.>",
            "evt.service.>",
            "evt.objective.>",
            "evt.schedule.>",
            "cfg.server.>",
        }
    },
}
for _name in ("gateway", "scheduler", "auditor", "health", "storage", "notifier"):
    MAY_READ[_name]["KV_keys"] = {"$KV.keys.>"}
MAY_READ["gateway"]["KV_sessions"] = {"$KV.sessions.>"}
FILTERS = {
    "EVENTS": [
        *(">", "evt.>", "evt.backup.>", "evt.server.>", "evt.service.>"),
        *("evt.objective.>", "evt.schedule.>"),
        *("evt.*.*.core.>", "evt.*.*.p1.>"),
        *("cfg.>", "cfg.user.>", "cfg.user.x1", "cfg.policy.>", "cfg.server.>"),
    ],
    "COMMANDS": [">", "cmd.>", "cmd.*.*.core.>", "cmd.*.*.p1.>"],
    "LOGS": [">", "log.core.>"],
    "DLQ": [">", "dlq.>"],
    "AUDIT_CKPT": ["ckpt.audit", ">"],
    "KV_keys": ["$KV.keys.>", "$KV.keys.*", "$KV.keys.x1"],
    "KV_sessions": ["$KV.sessions.>", "$KV.sessions.x1"],
}


def covers(wide: str, narrow: str) -> bool:
    """Whether the pattern `wide` hears everything that `narrow` hears."""
    ours, theirs = wide.split("."), narrow.split(".")
    for place, part in enumerate(ours):
        if part == ">":
            return len(theirs) > place
        if place >= len(theirs) or theirs[place] == ">" or part not in ("*", theirs[place]):
            return False
    return len(ours) == len(theirs)


def vocabulary() -> set[str]:
    """A subject of every message class and pool, and of every bucket and other stream."""
    subjects: set[str] = set()
    for kind, union in (("evt", AnyFact), ("cmd", AnyOrder)):
        for member in get_args(union):
            tag = member.__struct_config__.tag
            subjects |= {f"{kind}.{tag}.{pool}.x1" for pool in POOLS}
    for member in get_args(AnySetting):
        noun = member.__struct_config__.tag.removeprefix("setting.")
        if noun != "removed":  # it is said on the subject of what is removed
            subjects.add(f"cfg.{noun}.x1")
    subjects |= {f"log.{pool}.x1" for pool in POOLS}
    subjects |= {subject for listed in MAY_SAY.values() for subject in listed}
    subjects |= {f"$KV.keys.worker.{pool}" for pool in POOLS}
    subjects |= {f"$KV.beats.probe.{pool}.x1" for pool in POOLS}
    subjects |= {f"$KV.leases.run.{pool}.x1" for pool in POOLS}
    return subjects | {"ask.x1.y1", "$SYS.REQ.SERVER.PING", "x1"}


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[PlatformNats]:
    with platform_nats(tmp_path / "nats", agents=["p1", "p2"], subscribers=["s1", "s2"]) as running:
        await running.bootstrap()
        yield running


@asynccontextmanager
async def signed_in(platform: PlatformNats, user: str) -> AsyncIterator[tuple[Client, list[str]]]:
    """A plain client of the user, and what the server refused it."""
    refused: list[str] = []

    async def hear(error: Exception) -> None:
        refused.append(str(error).lower())

    settings = platform.settings(user)
    client = await nats.connect(
        settings.nats_url,
        user=user,
        password=settings.nats_password,
        inbox_prefix="_INBOX" if user.startswith("outside-") else f"_INBOX_{user}",
        error_cb=hear,
        allow_reconnect=False,
    )
    try:
        yield client, refused
    finally:
        await client.close()


async def refused_of(client: Client, refused: list[str], subjects: list[str]) -> set[str]:
    """Publish on each; the ones that the server says are not allowed."""
    for subject in subjects:
        await client.publish(subject, b"{}")
    await client.flush()
    # Refusals come apart from answers, on a busy machine a while after the last: until none does.
    heard = -1
    while heard < len(refused):
        heard = len(refused)
        await asyncio.sleep(0.5)
    return {
        subject for subject in subjects if any(f'"{subject.lower()}"' in one for one in refused)
    }


@pytest.mark.parametrize("user", list(MAY_SAY))
async def test_a_service_says_what_is_listed_and_nothing_else(
    platform: PlatformNats, user: str
) -> None:
    subjects = sorted(vocabulary())
    async with signed_in(platform, user) as (client, refused):
        denied = await refused_of(client, refused, subjects)
    assert set(subjects) - denied == MAY_SAY[user]


@pytest.mark.parametrize("user", list(MAY_READ))
async def test_a_service_makes_consumers_of_what_is_listed_and_nothing_else(
    platform: PlatformNats, user: str
) -> None:
    cells = [(stream, pattern) for stream, patterns in FILTERS.items() for pattern in patterns]
    asked = {f"$JS.API.CONSUMER.CREATE.{s}.c1.{p}": (s, p) for s, p in cells}
    async with signed_in(platform, user) as (client, refused):
        denied = await refused_of(client, refused, list(asked))
    allowed = {asked[subject] for subject in asked if subject not in denied}
    listed = MAY_READ[user]
    wanted = {
        (stream, pattern)
        for stream, pattern in cells
        if any(covers(wide, pattern) for wide in listed.get(stream, ()))
    }
    assert allowed == wanted


def forbidden_api() -> Iterator[str]:
    """What no service may ask of any stream."""
    for stream in STREAMS:
        for verb in ("CREATE", "UPDATE", "DELETE", "PURGE", "MSG.GET", "MSG.DELETE", "SNAPSHOT"):
            yield f"$JS.API.STREAM.{verb}.{stream}"
        yield f"$JS.API.STREAM.RESTORE.{stream}"
        yield f"$JS.API.CONSUMER.CREATE.{stream}"
        yield f"$JS.API.CONSUMER.CREATE.{stream}.c1"
        yield f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.c1"
        yield f"$JS.API.CONSUMER.DELETE.{stream}.c1"
        yield f"$JS.API.DIRECT.GET.{stream}"
    yield "$JS.API.DIRECT.GET.EVENTS.cfg.user.x1"
    yield "$JS.API.STREAM.CREATE.COPY"
    yield "$JS.API.STREAM.LIST"


@pytest.mark.parametrize("user", list(MAY_SAY))
async def test_no_service_can_change_delete_or_copy_a_stream(
    platform: PlatformNats, user: str
) -> None:
    subjects = list(forbidden_api())
    async with signed_in(platform, user) as (client, refused):
        denied = await refused_of(client, refused, subjects)
    assert denied == set(subjects)


@pytest.mark.parametrize("user", list(MAY_SAY))
async def test_a_service_hears_only_its_own_answers(platform: PlatformNats, user: str) -> None:
    own = {f"_INBOX_{user}.a"}
    if user == "auditor":
        own |= {"ask.auditor.guard"}
    subjects = {">", "evt.>", "cfg.>", "cmd.>", "log.>", "$KV.>", "ask.>", "ask.auditor.guard"}
    subjects |= {f"_INBOX_{other}.a" for other in MAY_SAY} | {"_INBOX.>", "$SYS.>", "$JS.ACK.>"}
    async with signed_in(platform, user) as (client, refused):
        for subject in sorted(subjects | own):
            await client.subscribe(subject)
        await client.flush()
        await asyncio.sleep(0.1)
    denied = {one for one in subjects | own if any(f'"{one.lower()}"' in text for text in refused)}
    assert (subjects | own) - denied == own


async def stored(platform: PlatformNats) -> dict[str, set[str]]:
    """The subjects in every stream."""
    found: dict[str, set[str]] = {}
    async with signed_in(platform, "bootstrap") as (client, _):
        for stream in STREAMS:
            body = json.dumps({"subjects_filter": ">"}).encode()
            answer = await client.request(f"$JS.API.STREAM.INFO.{stream}", body)
            state = json.loads(answer.data)["state"]
            found[stream] = set(state.get("subjects") or {})
    return found


async def test_an_agent_says_facts_of_its_own_pool_and_of_no_other(
    platform: PlatformNats,
) -> None:
    before = await stored(platform)
    async with signed_in(platform, "agent-p1") as (client, _):
        for subject in sorted(vocabulary()):
            await client.publish(subject, b"{}")
        await client.flush()
    await asyncio.sleep(0.3)
    new = {name: now - before[name] for name, now in (await stored(platform)).items()}
    assert new["EVENTS"] == (
        said("evt", f"backup: {ATTEMPTS} corrupted", ("p1",))
        | said("evt", "archive: corrupted", ("p1",))
        | said("evt", f"restore: {ATTEMPTS}", ("p1",))
        | said("evt", "server: tested discovered", ("p1",))
    )
    assert new["LOGS"] == {"log.p1.x1"}
    assert new["KV_keys"] == {"$KV.keys.worker.p1"}
    assert new["KV_leases"] == {"$KV.leases.run.p1.x1"}
    assert not new["COMMANDS"] | new["DLQ"] | new["AUDIT_CKPT"] | new["KV_sessions"]


SECRET = b"the sealed address of a person"


async def heard_by_agent(client: Client, subject: str, body: object) -> bytes:
    """Ask, then pull from whatever might have been made; everything that came back."""
    inbox = client.new_inbox()
    hearing = await client.subscribe(inbox)
    await client.publish(subject, json.dumps(body).encode(), reply=inbox)
    await client.flush()
    await asyncio.sleep(0.1)
    for name in ("agent-p1-r0", "spy"):
        pull = json.dumps({"batch": 5, "expires": 200_000_000}).encode()
        await client.publish(f"{AGENT_API}.CONSUMER.MSG.NEXT.EVENTS.{name}", pull, reply=inbox)
    heard = b""
    while True:
        try:
            message = await hearing.next_msg(timeout=0.5)
        except nats.errors.TimeoutError:
            return heard
        heard += message.data


def tricks() -> Iterator[tuple[str, str, object]]:
    """Ways to read what an agent may not read: name, subject, body."""
    own = "evt.*.*.p1.>"
    create = f"{AGENT_API}.CONSUMER.CREATE.EVENTS"
    one = {"name": "agent-p1-r0", "ack_policy": "none", "deliver_policy": "all"}
    spy = {**one, "name": "spy"}

    def body(config: dict[str, object], stream: str = EVENTS) -> dict[str, object]:
        return {"stream_name": stream, "config": config}

    yield "another filter in the subject", f"{create}.spy.cfg.user.>", body({**spy})
    slot = f"{create}.agent-p1-r0.{own}"
    yield "another filter in the body", slot, body({**one, "filter_subject": "cfg.user.>"})
    yield "no filter in the body", slot, body(one)
    yield "several filters", slot, body({**one, "filter_subjects": [own, "cfg.user.>"]})
    both = {**one, "filter_subject": own, "filter_subjects": ["cfg.user.>"]}
    yield "one and several filters", slot, body(both)
    yield "without a filter's subject", f"{create}.agent-p1-r0", body(one)
    yield "the legacy form", f"{AGENT_API}.CONSUMER.DURABLE.CREATE.EVENTS.spy", body(spy)
    yield "the core's filter", f"{create}.agent-p1-r0.evt.*.*.core.>", body(one)
    copy = {"name": "COPY", "storage": "memory"}
    stream = f"{AGENT_API}.STREAM.CREATE.COPY"
    yield "a mirror", stream, {**copy, "mirror": {"name": EVENTS}}
    yield "a source", stream, {**copy, "sources": [{"name": EVENTS}]}
    yield "its own account's API", "$JS.API.STREAM.CREATE.COPY", {**copy, "subjects": ["cfg.>"]}
    yield "a direct get", f"{AGENT_API}.DIRECT.GET.EVENTS.cfg.user.x1", {}
    yield "a direct get by body", f"{AGENT_API}.DIRECT.GET.EVENTS", {"seq": 1}
    yield "a message by number", f"{AGENT_API}.STREAM.MSG.GET.EVENTS", {"seq": 1}
    yield "the core's API", "$JS.API.STREAM.MSG.GET.EVENTS", {"seq": 1}
    lease = f"{AGENT_API}.DIRECT.GET.KV_leases.$KV.leases.run.p1.x1"
    yield "the body of a lease's get", lease, {"last_by_subj": "cfg.user.x1"}


@pytest.mark.parametrize(
    ("subject", "body"), [pytest.param(s, b, id=name) for name, s, b in tricks()]
)
async def test_an_agent_cannot_read_a_person(
    platform: PlatformNats, subject: str, body: object
) -> None:
    async with signed_in(platform, "gateway") as (gateway, _):
        await gateway.jetstream().publish("cfg.user.x1", SECRET)
    async with signed_in(platform, "agent-p1") as (client, _):
        assert SECRET not in await heard_by_agent(client, subject, body)


async def test_the_spy_of_these_tests_would_hear_what_it_may_read(platform: PlatformNats) -> None:
    async with signed_in(platform, "agent-p1") as (client, _):
        await client.publish("evt.backup.failed.p1.x1", b"own")
        config = {"name": "agent-p1-r0", "ack_policy": "none", "filter_subject": "evt.*.*.p1.>"}
        subject = f"{AGENT_API}.CONSUMER.CREATE.EVENTS.agent-p1-r0.evt.*.*.p1.>"
        body = {"stream_name": EVENTS, "config": config}
        assert b"own" in await heard_by_agent(client, subject, body)


@pytest.mark.parametrize(
    "target", ["evt.backup.completed.core.x9", "cmd.backup.run.core.x9", "$KV.keys.worker.core"]
)
async def test_an_agent_cannot_forge_through_a_reply_subject(
    platform: PlatformNats, target: str
) -> None:
    """JetStream answers on whatever subject the asker names; here that is the agent's own."""
    before = await stored(platform)
    async with signed_in(platform, "agent-p1") as (client, _):
        await client.publish("evt.backup.failed.p1.x1", b"forged content")
        create = f"{AGENT_API}.CONSUMER.CREATE.EVENTS.agent-p1-r0.evt.*.*.p1.>"
        config = {"name": "agent-p1-r0", "ack_policy": "none", "filter_subject": "evt.*.*.p1.>"}
        asked = json.dumps({"stream_name": EVENTS, "config": config}).encode()
        await client.request(create, asked)
        pull = f"{AGENT_API}.CONSUMER.MSG.NEXT.EVENTS.agent-p1-r0"
        await client.publish(pull, b"1", reply=target)
        await client.publish("evt.backup.failed.p1.x2", b"{}", reply=target)
        push = {**config, "name": "agent-p1-r1", "deliver_subject": target}
        body = json.dumps({"stream_name": EVENTS, "config": push}).encode()
        await client.request(create.replace("-r0", "-r1"), body)
    await asyncio.sleep(0.3)
    new = {
        subject for name, now in (await stored(platform)).items() for subject in now - before[name]
    }
    assert new == {"evt.backup.failed.p1.x1", "evt.backup.failed.p1.x2"}


@pytest.mark.parametrize("inbox", ["_INBOX_agent-p2.>", "_INBOX_gateway.>", ">", "cmd.*.*.p2.>"])
async def test_an_agent_hears_nothing_of_others(platform: PlatformNats, inbox: str) -> None:
    async with signed_in(platform, "agent-p1") as (client, _):
        hearing = await client.subscribe(inbox)
        await client.flush()
        async with platform.bus("gateway") as gateway, platform.bus("agent-p2") as other:
            await gateway.kv("sessions").put("x1", SECRET)
            assert await gateway.kv("sessions").get("x1")
            assert await other.last_of("evt.*.*.p2.x1") == []
        with pytest.raises(nats.errors.TimeoutError):
            await hearing.next_msg(timeout=0.3)


async def test_an_agent_cannot_stop_the_consumers_of_others(platform: PlatformNats) -> None:
    durable = {"durable_name": "executor-core-backup", "ack_policy": "explicit"}
    theirs = {**durable, "name": "executor-core-backup", "filter_subject": "cmd.backup.*.core.>"}
    async with signed_in(platform, "bootstrap") as (client, _):
        made = json.dumps({"stream_name": "COMMANDS", "config": theirs}).encode()
        api = "$JS.API.CONSUMER.CREATE.COMMANDS.executor-core-backup"
        await client.request(f"{api}.cmd.backup.*.core.>", made)
        async with signed_in(platform, "agent-p1") as (agent, _):
            ours = {**theirs, "filter_subject": "cmd.backup.*.p1.>"}
            stolen = json.dumps({"stream_name": "COMMANDS", "config": ours}).encode()
            hub = api.replace("$JS.API", AGENT_API)
            await agent.publish(f"{hub}.cmd.backup.*.p1.>", stolen)
            await agent.publish(f"{AGENT_API}.CONSUMER.DELETE.COMMANDS.executor-core-backup")
            await agent.flush()
        answer = await client.request("$JS.API.CONSUMER.INFO.COMMANDS.executor-core-backup")
        assert json.loads(answer.data)["config"]["filter_subject"] == "cmd.backup.*.core.>"


async def test_an_outside_system_says_nothing_at_all(platform: PlatformNats) -> None:
    await prepare_outside(platform)
    before = await stored(platform)
    async with signed_in(platform, "outside-s1") as (client, _):
        for subject in sorted(vocabulary()):
            await client.publish(subject, b"{}")
        await client.flush()
    await asyncio.sleep(0.3)

    assert await stored(platform) == before


async def test_an_outside_system_hears_facts_live_and_nothing_else(
    platform: PlatformNats,
) -> None:
    async with signed_in(platform, "outside-s1") as (client, refused):
        facts = await client.subscribe("evt.>")
        for subject in (">", "cfg.>", "cmd.>", "log.>", "$KV.>", "$JS.ACK.>", "ask.>", "$SYS.>"):
            await client.subscribe(subject)
        await client.flush()
        async with signed_in(platform, "bootstrap") as (boss, _):
            await boss.jetstream().publish("cfg.user.x1", SECRET)
            await boss.jetstream().publish("evt.backup.failed.core.x1", b"a fact")
        heard = await facts.next_msg(timeout=5)
        await client.flush()

    assert (heard.subject, heard.data) == ("evt.backup.failed.core.x1", b"a fact")
    assert len([one for one in refused if "subscription" in one]) == 8


async def test_an_outside_system_reads_its_own_durable_from_where_it_was(
    platform: PlatformNats,
) -> None:
    await prepare_outside(platform)
    async with signed_in(platform, "bootstrap") as (boss, _):
        for number in range(3):
            await boss.jetstream().publish("evt.backup.failed.core.x1", b"%d" % number)
            await boss.jetstream().publish("cfg.user.x1", SECRET)

    heard = [await pulled(platform, "outside-s1", 2), await pulled(platform, "outside-s1", 1)]

    assert heard == [[b"0", b"1"], [b"2"]]


async def prepare_outside(platform: PlatformNats) -> None:
    """Make the durables, as the launcher does."""
    connection = Connection(platform.settings("bootstrap"), "test")
    async with connection.kept():
        await make_consumers(await connection.link(), {"s1": True, "s2": True})


async def pulled(platform: PlatformNats, user: str, count: int) -> list[bytes]:
    """What the next messages of its durable hold, acknowledged."""
    async with signed_in(platform, user) as (client, _):
        stream = client.jetstream(prefix=OUTSIDE_API)
        reading = await stream.pull_subscribe_bind(user, stream="EVENTS")
        messages = await reading.fetch(count, timeout=5)
        for message in messages:
            await message.ack_sync()
        return [message.data for message in messages]


def outside_tricks() -> Iterator[tuple[str, str, object]]:
    """Ways to read or change what an outside system may not: name, subject, body."""
    create = f"{OUTSIDE_API}.CONSUMER.CREATE.EVENTS"
    own = {"name": "outside-s1", "ack_policy": "none", "deliver_policy": "all"}
    body = {"stream_name": EVENTS, "config": {**own, "filter_subject": "cfg.>"}}
    yield "its own durable with another filter", f"{create}.outside-s1.cfg.>", body
    yield "its own durable anew", f"{create}.outside-s1.evt.>", body
    yield "a consumer of its choice", f"{create}.spy.evt.>", {"stream_name": EVENTS, "config": {}}
    yield "another one's durable", f"{OUTSIDE_API}.CONSUMER.MSG.NEXT.EVENTS.outside-s2", {}
    yield "a message by number", f"{OUTSIDE_API}.STREAM.MSG.GET.EVENTS", {"seq": 1}
    yield "a direct get", f"{OUTSIDE_API}.DIRECT.GET.EVENTS.cfg.user.x1", {}
    yield "the subjects of the stream", f"{OUTSIDE_API}.STREAM.INFO.EVENTS", {}
    yield "the core's API", "$JS.API.STREAM.MSG.GET.EVENTS", {"seq": 1}


@pytest.mark.parametrize(
    ("subject", "body"), [pytest.param(s, b, id=name) for name, s, b in outside_tricks()]
)
async def test_an_outside_system_is_refused_whatever_it_asks_beside_its_durable(
    platform: PlatformNats, subject: str, body: object
) -> None:
    await prepare_outside(platform)
    async with signed_in(platform, "outside-s1") as (client, _):
        inbox = client.new_inbox()
        hearing = await client.subscribe(inbox)
        allowed = f"{OUTSIDE_API}.CONSUMER.INFO.EVENTS.outside-s1"
        await client.publish(allowed, b"", reply=inbox)
        answer = json.loads((await hearing.next_msg(timeout=5)).data)
        await client.publish(subject, json.dumps(body).encode(), reply=inbox)
        await client.flush()

        assert answer["config"]["filter_subject"] == "evt.>"
        with pytest.raises(nats.errors.TimeoutError):
            await hearing.next_msg(timeout=0.5)


async def test_a_reply_subject_that_an_outside_system_invents_reaches_nobody(
    platform: PlatformNats,
) -> None:
    """Abuse case 29: JetStream answers on whatever subject the asker names."""
    await prepare_outside(platform)
    async with signed_in(platform, "bootstrap") as (boss, _):
        await boss.jetstream().publish("evt.backup.failed.core.x1", b"{}")
    before = await stored(platform)
    async with signed_in(platform, "outside-s1") as (client, _):
        pull = f"{OUTSIDE_API}.CONSUMER.MSG.NEXT.EVENTS.outside-s1"
        for target in ("cmd.backup.run.core.y", "cfg.user.y", "$KV.keys.worker.core"):
            await client.publish(pull, b"1", reply=target)
        await client.flush()
    await asyncio.sleep(0.3)

    assert await stored(platform) == before
