"""What every service process does: connect, beat, run its work, stop on a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

import msgspec
import structlog
import uvloop

from shared import log, metrics, otel
from shared.bus import Bus
from shared.bus.jetstream import BusSettings, connect
from shared.errors import PlatformError, leaves
from shared.metrics import MetricsSettings
from shared.settings import check_all, load
from shared.version import version

BEAT_EVERY_S = 5.0

Work: TypeAlias = Callable[[Bus], Awaitable[None]]


class Beat(msgspec.Struct, frozen=True, kw_only=True):
    """A sign of life of one replica, in KV `beats` under `service.<name>.<replica>`."""

    service: str
    replica: str
    pid: int
    host: str
    version: str = ""


def replica_name() -> str:
    """Unique per process: host and process id, as a subject token."""
    host = "".join(c if c.isalnum() else "-" for c in socket.gethostname())[:40]
    return f"{host}-{os.getpid()}"


def serve(name: str, work: Work, *settings: type[msgspec.Struct], gate: bool = True) -> None:
    """Run a service until SIGTERM or SIGINT; a crash of any of its parts ends the process.

    `settings` are what `work` will read from the environment: all that is wrong with any of them
    is said at once, before anything is connected to. `gate=False` is for the auditor, which is
    the one that opens the write gate.
    """
    log.configure(name, level=os.environ.get("LOG_LEVEL", "info"))
    try:
        check_all([BusSettings, MetricsSettings, *settings], os.environ)
        with otel.exported(name, os.environ):
            uvloop.run(_serve(name, work, gate=gate))
    except* PlatformError as errors:
        for error in leaves(errors):
            structlog.get_logger().error(
                "stopped", code=error.code, cause=error.cause, fix=error.fix
            )
        raise SystemExit(1) from None


async def _serve(name: str, work: Work, *, gate: bool) -> None:
    bus_settings = load(BusSettings, os.environ)
    metrics.SERVICE.labels(name).set(1)
    async with (
        metrics.served(load(MetricsSettings, os.environ)),
        connect(bus_settings, source=name, gate=gate) as bus,
    ):
        working = asyncio.create_task(_run(name, bus, work))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, working.cancel)
        structlog.get_logger().info("started")
        with suppress(asyncio.CancelledError):
            await working
        structlog.get_logger().info("stopped")


async def _run(name: str, bus: Bus, work: Work) -> None:
    async with asyncio.TaskGroup() as group:
        beating = group.create_task(_beat(name, bus))
        await work(bus)
        beating.cancel()


async def _beat(name: str, bus: Bus) -> None:
    beat = Beat(
        service=name,
        replica=replica_name(),
        pid=os.getpid(),
        host=socket.gethostname(),
        version=version(),
    )
    while True:
        with suppress(PlatformError, TimeoutError):  # a missed beat is what health judges
            await bus.kv("beats").put(f"service.{name}.{beat.replica}", msgspec.json.encode(beat))
        await asyncio.sleep(BEAT_EVERY_S)
