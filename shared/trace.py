"""One trace through everything that one call causes: W3C `traceparent`, in headers and logs.

A trace id says nothing about anybody; whoever calls may bring their own. It is no identity: what
must be true of a message stands in the message.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

import msgspec
import structlog

HEADER = "traceparent"
_FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class Trace(msgspec.Struct, frozen=True):
    """Where we are in a trace: all that belongs together, and the step that is done now.

    `parent_id` is the step that caused it; empty for the first one.
    """

    trace_id: str
    span_id: str
    flags: str = "01"
    parent_id: str = ""

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"

    def next(self) -> Trace:
        """A further step of the same trace."""
        return Trace(self.trace_id, secrets.token_hex(8), self.flags, self.span_id)


class Step(msgspec.Struct, frozen=True):
    """A step that is over; the times are nanoseconds since 1970."""

    name: str
    trace: Trace
    began_ns: int
    ended_ns: int


Tell: TypeAlias = Callable[[Step], None]
_tell: Tell | None = None


@contextmanager
def told(tell: Tell) -> Iterator[None]:
    """Hear of every step of this process that ends inside the block."""
    global _tell  # noqa: PLW0603 - one exporter per process, as for logs and metrics
    _tell = tell
    try:
        yield
    finally:
        _tell = None


_current: ContextVar[Trace | None] = ContextVar("trace", default=None)


def current() -> Trace | None:
    """The trace that this task works in, if any."""
    return _current.get()


def begun(traceparent: str = "") -> Trace:
    """A step of the trace that a caller brought, or of a new one where that is none."""
    return (_read(traceparent) or Trace(secrets.token_hex(16), "")).next()


def headers() -> dict[str, str]:
    """What a message carries of the current trace."""
    trace = _current.get()
    return {} if trace is None else {HEADER: str(trace)}


@contextmanager
def within(trace: Trace | None, name: Callable[[], str]) -> Iterator[None]:
    """Work in `trace` inside the block: messages carry it, log lines name it.

    `name` says at the end what the step was; nothing of what a caller sent may stand in it.
    """
    if trace is None:
        yield
        return
    token, began_ns = _current.set(trace), time.time_ns()
    try:
        with structlog.contextvars.bound_contextvars(trace_id=trace.trace_id):
            yield
    finally:
        _current.reset(token)
        if _tell is not None:
            _tell(Step(name(), trace, began_ns, time.time_ns()))


@contextmanager
def continued(given: Mapping[str, str], name: Callable[[], str]) -> Iterator[None]:
    """Work inside the block in the trace that a message carries; none changes nothing."""
    came = _read(given.get(HEADER, ""))
    with within(came.next() if came else None, name):
        yield


@contextmanager
def step(name: str) -> Iterator[None]:
    """A part of what is done, told apart; outside of a trace it is nothing."""
    at = current()
    with within(at.next() if at else None, lambda: name):
        yield


def _read(text: str) -> Trace | None:
    found = _FORM.fullmatch(text)
    if found is None or not int(found[1], 16) or not int(found[2], 16):
        return None
    return Trace(*found.groups())
