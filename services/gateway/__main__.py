"""Starts the gateway."""

from __future__ import annotations

import asyncio
import gc
import os

import msgspec
import structlog
from granian.constants import Interfaces
from granian.server.embed import Server

from services.gateway.app import create_app
from services.gateway.certificate import LOOK_EVERY_S, Certificate, certificate, watch
from services.gateway.defaults import make_defaults
from services.gateway.dependencies import Dependencies, wire
from services.gateway.identities import REMEMBERED_S
from services.gateway.settings import Defaults, Settings
from shared.bus import Bus
from shared.faults import kill_points
from shared.keys.bucket import BusKeys
from shared.keys.vault import SealedValueError, Vault, encryption_keys
from shared.readmodel.reader import read_model
from shared.serving import serve
from shared.settings import load

BACKLOG = 1024
CONNECTIONS = 4096
"""Open at once; each listener to live events holds one. granian's own bound would be 128."""

COLLECT_AFTER = (20_000, 20, 50)
"""Python's own are (700, 10, 10): made for scripts."""

_log = structlog.get_logger()


async def work(bus: Bus) -> None:
    """Serve HTTP until cancelled."""
    settings = load(Settings, os.environ)
    defaults = load(Defaults, os.environ)
    keys = encryption_keys(settings.encryption_key)
    vault = Vault(BusKeys(bus), keys, remembered_s=REMEMBERED_S)
    if len(keys) > 1:
        await rewrap(vault)
    async with read_model(settings.database_url, connections=10) as model:
        deps = msgspec.structs.replace(
            wire(settings, bus, model, vault), point=kill_points(os.environ)
        )
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(deps.live.follow()),
                group.create_task(make_defaults(deps, defaults)),
            ]
            settle_memory()
            try:
                await listen(deps)
            finally:
                for task in beside:
                    task.cancel()


def settle_memory() -> None:
    """Spare the collector what lives as long as the process.

    A full collection would walk the framework's objects again and again, and every listener with
    them, while all requests wait.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def rewrap(vault: Vault) -> None:
    """After a rotation of ENCRYPTION_KEY: wrap every sealing key under the newest."""
    try:
        _log.info("sealing_keys_rewrapped", count=await vault.rewrap())
    except SealedValueError as error:
        # All others are wrapped; whoever needs a lost one is told so, and the rest must work.
        _log.error("sealing_keys_lost", code=error.code, cause=error.cause, fix=error.fix)


async def listen(deps: Dependencies, *, look_every_s: float = LOOK_EVERY_S) -> None:
    """Run granian in this process; returns never, ends its requests when cancelled."""
    with certificate(deps.settings) as files:
        await _listen(deps, files, look_every_s)


async def _listen(deps: Dependencies, files: Certificate | None, look_every_s: float) -> None:
    settings = deps.settings
    server = Server(
        create_app(deps),
        address=settings.gateway_host,
        port=settings.gateway_port,
        interface=Interfaces.ASGI,
        websockets=False,
        backlog=BACKLOG,
        backpressure=CONNECTIONS,
        log_enabled=False,
        ssl_cert=files.cert if files else None,
        ssl_key=files.key if files else None,
    )
    serving = asyncio.ensure_future(server.serve())
    watching = asyncio.create_task(
        watch(files, server.reload, every_s=look_every_s) if files else asyncio.sleep(0)
    )
    try:
        await asyncio.shield(serving)
    finally:
        watching.cancel()
        deps.live.close()
        server.stop()  # type: ignore[no-untyped-call]  # granian's embedded server is untyped
        await serving
    raise RuntimeError("the HTTP server ended by itself")


if __name__ == "__main__":
    serve("gateway", work, Settings, Defaults)
