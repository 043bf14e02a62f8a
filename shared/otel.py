"""Traces for OpenTelemetry, where the extra `otel` is installed and a collector is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from shared import trace
from shared.settings import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

COLLECTORS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


@contextmanager
def exported(service: str, environment: Mapping[str, str]) -> Iterator[None]:
    """Send the steps of every trace to the collector that the environment names, inside the block.

    The variables are OpenTelemetry's own, which the exporter reads itself. It sends from a thread,
    drops what a collector does not take, and nothing waits for it. Raises ConfigurationError when
    a collector is named and the extra is missing.
    """
    if not any(environment.get(name) for name in COLLECTORS):
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise ConfigurationError(
            "a collector of traces is named, but OpenTelemetry is not installed",
            fix="pip install 'holdfast[otel]', or unset OTEL_EXPORTER_OTLP_ENDPOINT",
        ) from None
    resource = Resource.create({"service.name": f"holdfast-{service}"})
    sending = BatchSpanProcessor(OTLPSpanExporter())

    def send(step: trace.Step) -> None:
        sending.on_end(
            ReadableSpan(
                step.name,
                context=_place(step.trace.trace_id, step.trace.span_id, step.trace.flags),
                parent=_parent(step.trace),
                resource=resource,
                start_time=step.began_ns,
                end_time=step.ended_ns,
            )
        )

    with trace.told(send):
        yield
    sending.shutdown()  # type: ignore[no-untyped-call]  # the library leaves it untyped


def _parent(at: trace.Trace) -> SpanContext | None:
    return _place(at.trace_id, at.parent_id, at.flags) if at.parent_id else None


def _place(trace_id: str, span_id: str, flags: str) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(
        int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16))
    )
