"""Which services are down: those that alone fell silent."""

from __future__ import annotations

from datetime import UTC, datetime

from services.health.pulse import BLIND_AFTER_S, DOWN_AFTER_S, GRACE_S, Pulse

AT = datetime(2026, 1, 1, tzinfo=UTC)


def beating(pulse: Pulse, *services: str, since: float, until: float) -> None:
    now_s = since
    while now_s <= until:
        for service in services:
            pulse.beat(service, now_s, AT)
        now_s += 5.0


def test_a_service_that_stops_beating_is_down_after_four_missed_beats() -> None:
    pulse = Pulse(0.0)
    beating(pulse, "storage", "health", since=0.0, until=100.0)
    beating(pulse, "health", since=105.0, until=200.0)

    assert pulse.down(100.0 + DOWN_AFTER_S - 0.1) == {}
    assert pulse.down(100.0 + DOWN_AFTER_S) == {"storage": AT}
    assert pulse.up(200.0) == {"health"}


def test_one_living_replica_is_enough() -> None:
    pulse = Pulse(0.0)
    beating(pulse, "executor", since=0.0, until=100.0)  # whichever replica

    assert pulse.down(101.0) == {}


def test_nobody_is_called_down_while_the_platform_starts() -> None:
    pulse = Pulse(0.0)
    pulse.know("storage", 0.0)
    beating(pulse, "health", since=0.0, until=GRACE_S)

    assert pulse.down(GRACE_S - 0.1) == {}
    assert pulse.down(GRACE_S) == {"storage": None}


def test_when_nobody_is_heard_it_is_we_who_are_deaf() -> None:
    pulse = Pulse(0.0)
    beating(pulse, "storage", "health", since=0.0, until=100.0)
    for now_s in range(100, 400, 5):
        assert pulse.down(float(now_s)) == {}

    beating(pulse, "health", since=400.0, until=500.0)
    assert pulse.down(401.0) == {}
    assert pulse.down(395.0 + DOWN_AFTER_S) == {"storage": AT}


def test_deafness_is_noticed_before_anybody_is_called_down() -> None:
    assert BLIND_AFTER_S < DOWN_AFTER_S
