"""What a process counts about itself, and how it is read: OpenMetrics.

One place, so that names and labels stay few: a label only ever holds words of our own vocabulary
(the type of a message, the template of a route, a status), never an id, a path or what a caller
sent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Annotated

import msgspec
from msgspec import Meta
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition

from shared.messages.base import Message
from shared.messages.facts import ArchiveReplicated, BackupCompleted, RestoreCompleted

CONTENT_TYPE = exposition.CONTENT_TYPE_LATEST
REGISTRY = CollectorRegistry()

_RUN_S = (1, 5, 15, 60, 300, 900, 3600, 14_400, 43_200)
ENDINGS = (
    *("backup.completed", "backup.failed", "backup.cancelled"),
    *("backup.verified", "backup.corrupted", "archive.verified", "archive.corrupted"),
    *("restore.completed", "restore.failed", "restore.cancelled"),
    *("notification.sent", "notification.failed"),
)
"""Counted from zero: a rate over something that first appears would miss its first one."""
_QUICK_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10)

SERVICE = Gauge(
    "holdfast_service",
    "This process: the name of its service.",
    ["service"],
    registry=REGISTRY,
)
SAID = Counter(
    "holdfast_messages_said",
    "Events and orders that this process has appended, by type.",
    ["type"],
    registry=REGISTRY,
)
RUN_SECONDS = Histogram(
    "holdfast_run_seconds",
    "How long completed work took, as its worker says.",
    ["kind"],
    buckets=_RUN_S,
    registry=REGISTRY,
)
RUN_BYTES = Counter(
    "holdfast_run_bytes",
    "Bytes that completed work has moved: raw before, stored after compression.",
    ["kind", "of"],
    registry=REGISTRY,
)
HANDLED = Counter(
    "holdfast_deliveries",
    "Deliveries that this process has worked on, by how they ended.",
    ["end"],
    registry=REGISTRY,
)
CONNECTS = Counter(
    "holdfast_bus_connects",
    "Connections to NATS that were made; the first one counts, too.",
    registry=REGISTRY,
)
LOSSES = Counter("holdfast_bus_losses", "Connections to NATS that were lost.", registry=REGISTRY)
REQUESTS = Counter(
    "holdfast_http_requests",
    "Requests, by method, route template and status.",
    ["method", "route", "status"],
    registry=REGISTRY,
)
REQUEST_SECONDS = Histogram(
    "holdfast_http_request_seconds",
    "Time until an answer begins, by method and route template.",
    ["method", "route"],
    buckets=_QUICK_S,
    registry=REGISTRY,
)

for _type in ENDINGS:
    SAID.labels(_type)
for _end in ("done", "again", "dead", "left"):
    HANDLED.labels(_end)


class MetricsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the process serves its metrics: `metrics_port` 0 is nowhere.

    They hold no secret, but say how busy the installation is: give them to the scraper only.
    """

    metrics_port: Annotated[int, Meta(ge=0, le=65_535)] = 0
    metrics_host: str = "127.0.0.1"


def said(message: Message) -> None:
    """Count a message that was appended now."""
    SAID.labels(message.type).inc()
    match message:
        case BackupCompleted():
            RUN_SECONDS.labels("backup").observe(message.seconds)
            RUN_BYTES.labels("backup", "raw").inc(message.archive.raw_bytes)
            RUN_BYTES.labels("backup", "stored").inc(message.archive.stored_bytes)
        case RestoreCompleted():
            kind = "verification" if message.verified_backup_id else "restore"
            RUN_SECONDS.labels(kind).observe(message.seconds)
            RUN_BYTES.labels(kind, "raw").inc(message.raw_bytes)
        case ArchiveReplicated():
            RUN_SECONDS.labels("replication").observe(message.seconds)
            RUN_BYTES.labels("replication", "stored").inc(message.stored_bytes)
        case _:
            pass


def exposed(more: Iterable[Metric] = (), *, own: bool = True) -> bytes:
    """The process's metrics, unless not `own`, and `more` of them, as OpenMetrics text."""
    families = _Families([*(REGISTRY.collect() if own else ()), *more])
    return bytes(exposition.generate_latest(families))  # type: ignore[no-untyped-call]


class _Families(CollectorRegistry):
    """What was collected already."""

    def __init__(self, families: list[Metric]) -> None:
        super().__init__()
        self._collected = families

    def collect(self) -> Iterable[Metric]:
        return self._collected


@asynccontextmanager
async def served(settings: MetricsSettings) -> AsyncIterator[None]:
    """Serve `/metrics` of this process inside the block, if a port is set."""
    if not settings.metrics_port:
        yield
        return
    from aiohttp import web  # who serves nothing need not load it

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=exposed(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.metrics_host, settings.metrics_port).start()
        yield
    finally:
        await runner.cleanup()
