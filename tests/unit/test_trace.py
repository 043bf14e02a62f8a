"""A trace goes with what is said, from hop to hop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from uuid import uuid4

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from shared import otel, trace
from shared.audit.leaf import event_hash, lasting
from shared.bus import Delivery
from shared.bus.base import EVENTS
from shared.bus.memory import MemoryBus, MemoryServer
from shared.bus.publishing import raw
from shared.messages.facts import RunCancelRequested, ServiceCameBack
from shared.settings import ConfigurationError
from tests.support.waiting import eventually

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_caller_may_bring_a_trace_and_it_goes_on_with_another_step() -> None:
    begun = trace.begun(GIVEN)

    assert begun.trace_id == "0af7651916cd43dd8448eb211c80319c"
    assert begun.span_id != "b7ad6b7169203331"


@pytest.mark.parametrize(
    "given",
    ["", "nonsense", GIVEN.upper(), GIVEN + "\r\nx: y", f"00-{'0' * 32}-b7ad6b7169203331-01"],
)
def test_what_is_no_trace_begins_a_new_one(given: str) -> None:
    begun = str(trace.begun(given))

    assert begun[3:35] not in given.lower()
    assert trace.begun(begun).trace_id == begun[3:35]


@given(st.text())
def test_no_header_breaks_a_request_or_travels_on_as_it_came(given: str) -> None:
    assert str(trace.begun(given)).isascii()


def test_outside_of_a_trace_a_message_carries_none() -> None:
    assert trace.HEADER not in raw(ServiceCameBack(service="x"), "test").headers


def test_the_trace_is_part_of_the_event_as_it_was_said() -> None:
    with trace.within(trace.begun(), str):
        said = raw(ServiceCameBack(service="x"), "test")

    kept = lasting(said.headers)
    assert trace.HEADER in kept
    without = {name: value for name, value in kept.items() if name != trace.HEADER}
    assert event_hash("s", kept, b"") != event_hash("s", without, b"")


async def test_what_a_handler_says_and_logs_belongs_to_the_trace_that_it_heard() -> None:
    bus = MemoryBus(MemoryServer())
    logged: list[object] = []

    async def handler(delivery: Delivery) -> None:
        logged.append(structlog.contextvars.get_contextvars().get("trace_id"))
        if isinstance(delivery.message, RunCancelRequested):
            await asyncio.create_task(said(ServiceCameBack(service="x")))

    async def said(fact: RunCancelRequested | ServiceCameBack) -> None:
        await bus.append(fact)

    working = asyncio.create_task(bus.work("d", EVENTS, ["evt.>"], handler))
    with trace.within(begun := trace.begun(), str):
        await said(RunCancelRequested(run_id=uuid4()))

    async def both() -> bool:
        return len(logged) == 2

    await eventually(both)
    working.cancel()
    carried = [one.headers[trace.HEADER] for one in bus.server.stream(EVENTS).messages]
    assert [one[3:35] for one in carried] == [begun.trace_id] * 2
    assert carried[0] != carried[1]
    assert logged == [begun.trace_id] * 2
    assert trace.current() is None


def test_a_collector_without_the_extra_is_a_fault_of_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)

    with (
        pytest.raises(ConfigurationError, match="not installed"),
        otel.exported("gateway", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}),
    ):
        pass


def test_without_a_collector_nothing_of_opentelemetry_is_loaded() -> None:
    loads = (
        "import sys; from shared import otel\n"
        "with otel.exported('x', {}): pass\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    printed = subprocess.run([sys.executable, "-c", loads], capture_output=True, check=True)

    assert printed.stdout.strip() == b"[]"
