"""A collector of OpenTelemetry traces: what is sent to it, by trace."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Span(msgspec.Struct, frozen=True):
    """One step, as the collector got it."""

    service: str
    name: str
    span_id: str
    parent_id: str


class Collector:
    """`traces`: the steps by the trace that they belong to."""

    def __init__(self) -> None:
        self.traces: defaultdict[str, list[Span]] = defaultdict(list)
        self.endpoint = ""

    async def take(self, request: web.Request) -> web.Response:
        """`POST /v1/traces`, in protobuf."""
        sent = ExportTraceServiceRequest.FromString(await request.read())
        for resource in sent.resource_spans:
            told = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.traces[span.trace_id.hex()].append(
                        Span(
                            told["service.name"],
                            span.name,
                            span.span_id.hex(),
                            span.parent_span_id.hex(),
                        )
                    )
        return web.Response()


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """A collector on a port of its own."""
    collector, app = Collector(), web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    collector.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield collector
    finally:
        await runner.cleanup()
