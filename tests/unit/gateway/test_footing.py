"""What the platform stands on, as the bus tells it."""

from __future__ import annotations

import msgspec

from services.gateway.beats import Beats
from services.gateway.footing import SHOWN, replicas, streams
from shared.bus.memory import MemoryBus
from shared.serving import Beat


async def test_every_process_is_shown_with_its_version() -> None:
    bus = MemoryBus()
    for replica, version in (("a", "1.0"), ("b", "1.1")):
        said = Beat(service="storage", replica=replica, pid=7, host="h1", version=version)
        await bus.kv("beats").put(f"service.storage.{replica}", msgspec.json.encode(said))

    seen = replicas(await Beats(bus).alive())

    assert [(one.service, one.host, one.version) for one in seen] == [
        ("storage", "h1", "1.0"),
        ("storage", "h1", "1.1"),
    ]


async def test_what_a_later_version_beats_hides_nobody() -> None:
    bus = MemoryBus()
    said = Beat(service="health", replica="x", pid=7, host="h1")
    await bus.kv("beats").put("service.health.x", msgspec.json.encode(said))
    await bus.kv("beats").put("service.storage.y", b'{"since": 5}')

    assert [(one.service, one.version) for one in replicas(await Beats(bus).alive())] == [
        ("health", "")
    ]


async def test_each_stream_is_shown_with_what_it_holds() -> None:
    seen = await streams(MemoryBus())

    assert [(one.name, one.last_seq, one.messages) for one in seen] == [
        (name, 0, 0) for name in SHOWN
    ]
