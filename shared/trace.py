"""One trace through everything that one call causes: W3C `traceparent`, in headers and logs.

A trace id says nothing about anybody; whoever calls may bring their own. It is no identity: what
must be true of a message stands in the message.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec
import structlog

HEADER = "traceparent"
_FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class Trace(msgspec.Struct, frozen=True):
    """Where we are in a trace: all that belongs together, and the step that is done now."""

    trace_id: str
    span_id: str
    flags: str = "01"

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"

    def next(self) -> Trace:
        """A further step of the same trace."""
        return Trace(self.trace_id, secrets.token_hex(8), self.flags)


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
def within(trace: Trace | None) -> Iterator[None]:
    """Work in `trace` inside the block: messages carry it, log lines name it."""
    if trace is None:
        yield
        return
    token = _current.set(trace)
    try:
        with structlog.contextvars.bound_contextvars(trace_id=trace.trace_id):
            yield
    finally:
        _current.reset(token)


@contextmanager
def continued(given: Mapping[str, str]) -> Iterator[None]:
    """Work inside the block in the trace that a message carries; none changes nothing."""
    came = _read(given.get(HEADER, ""))
    with within(came.next() if came else None):
        yield


def _read(text: str) -> Trace | None:
    found = _FORM.fullmatch(text)
    if found is None or not int(found[1], 16) or not int(found[2], 16):
        return None
    return Trace(*found.groups())
