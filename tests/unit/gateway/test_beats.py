"""Who is counted as alive, from beats that are kept for longer than their process lives."""

from __future__ import annotations

from services.gateway.beats import SILENT_AFTER_S, Beats
from shared.bus.memory import MemoryBus

ONE, TWO = "service.storage.one", "service.storage.two"


async def test_who_did_not_beat_between_two_looks_is_gone_until_it_beats_again() -> None:
    bus, at = MemoryBus(), 0.0
    beats, kept = Beats(bus, lambda: at), bus.kv("beats")
    for key in (ONE, TWO):
        await kept.put(key, b"{}")

    async def alive() -> list[str]:
        return [one.key for one in await beats.alive()]

    assert await alive() == [ONE, TWO]
    at = SILENT_AFTER_S - 1
    await kept.put(ONE, b"{}")
    assert await alive() == [ONE, TWO]
    at = SILENT_AFTER_S + 1
    await kept.put(ONE, b"{}")
    assert await alive() == [ONE]
    at = 10 * SILENT_AFTER_S
    await kept.put(TWO, b"{}")
    assert await alive() == [TWO]
