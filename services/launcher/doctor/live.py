"""What only a running installation can tell: its log, its services, its read model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import msgspec
from sqlalchemy import func, select

from services.launcher.doctor.beats import services
from services.launcher.doctor.findings import Finding, bad, doubtful, well
from services.launcher.doctor.opened import Settings
from services.launcher.doctor.outside import each_url
from services.launcher.doctor.proofs import proofs
from services.launcher.doctor.stores import each_store
from services.launcher.doctor.users import each_user
from services.launcher.doctor.workers import each_engine, each_pool
from services.launcher.installation import Installation
from shared.bus import Bus, layout
from shared.bus.api import ask_api
from shared.bus.base import DLQ, EVENTS
from shared.bus.bootstrap import bucket_stream
from shared.bus.connection import Connection
from shared.bus.gate import GUARD, Guarded
from shared.bus.jetstream import connect
from shared.errors import PlatformError
from shared.messages.base import now
from shared.readmodel.reader import ReadModel, read_model
from shared.readmodel.tables import audit_checkpoints, servers

LAG_EVENTS, CHECKPOINT_S, SKEW_S = 1000, 300.0, 5.0


async def live(installation: Installation) -> AsyncIterator[Finding]:
    """Every finding; what cannot be asked because something else is away is left out."""
    try:
        async with connect(installation.bus_settings(), source="doctor", gate=False) as bus:
            yield well("nats-server", installation.nats_url)
            yield await _streams(installation)
            yield await _guard(bus)
            yield await _letters(bus)
            async for finding in each_user(installation):
                yield finding
            async for finding in _read_model(bus, installation):
                yield finding
            for finding in await services(bus):
                yield finding
    except (PlatformError, TimeoutError, OSError):
        fix = f"see {installation.home.log('nats-server')}"
        yield bad("nats-server", "it does not answer", fix)
    yield await _gateway(installation)


async def _streams(installation: Installation) -> Finding:
    """Whether every stream and bucket stands as the data under `nats/` says."""
    connection, other = Connection(installation.bus_settings(), "doctor"), list[str]()
    async with connection.kept():
        link = await connection.link()
        for wanted in [*layout.streams(), *map(bucket_stream, layout.buckets())]:
            name = wanted["name"]
            try:
                config = (await ask_api(link, f"STREAM.INFO.{name}", {}))["config"]
            except PlatformError:
                config = {}
            if not _agrees(wanted, config):
                other.append(name)
    if other:
        says = f"not as they should be: {', '.join(other)}"
        return bad("streams", says, "start the platform anew; `holdfast repair` mends EVENTS")
    return well("streams", "as they should be")


def _agrees(wanted: dict[str, Any], stands: dict[str, Any]) -> bool:
    """The server leaves out what is zero or false."""
    return all(stands.get(name, type(value)()) == value for name, value in wanted.items())


async def _guard(bus: Bus) -> Finding:
    about = "event log"
    try:
        said = msgspec.json.decode(await bus.ask(GUARD, timeout_s=5.0), type=Guarded)
    except (PlatformError, TimeoutError):
        return bad(about, "no auditor vouches for it: writes are held", "see the auditor's log")
    if not said.ok:
        return bad(about, f"writes are held: {said.cause}", "run `holdfast repair`")
    return well(about, "intact, as the auditor says")


async def _letters(bus: Bus) -> Finding:
    count = (await bus.state(DLQ)).messages
    if count:
        return doubtful("dead letters", f"{count}", "look at them: `holdfast letter list`")
    return well("dead letters", "none")


async def _read_model(bus: Bus, installation: Installation) -> AsyncIterator[Finding]:
    url = installation.database_url("reader").read_text()
    try:
        async with read_model(url, connections=1) as model:
            yield await _lag(bus, model)
            yield await _checkpoint(model)
            yield await _clock(model)
            for finding in await proofs(model):
                yield finding
            yield await _servers(model)
            async for finding in _work(bus, model, installation):
                yield finding
    except (PlatformError, OSError):
        yield bad("PostgreSQL", "it does not answer", f"see {installation.home.log('postgres')}")


async def _work(bus: Bus, model: ReadModel, installation: Installation) -> AsyncIterator[Finding]:
    """What a backup needs: somebody who makes it, with what, and a place to put it."""
    connection = Connection(installation.bus_settings(), "doctor")
    async with connection.kept():
        async for finding in each_pool(await connection.link(), model):
            yield finding
    async for finding in each_engine(bus, model):
        yield finding
    settings = Settings(bus, model, installation)
    async for finding in each_store(settings, model):
        yield finding
    async for finding in each_url(settings):
        yield finding


async def _lag(bus: Bus, model: ReadModel) -> Finding:
    position = await model.position()
    lag = max(0, (await bus.state(EVENTS)).last_seq - position)
    if lag > LAG_EVENTS:
        return bad("read model", f"{lag} events behind the log", "see the auditor's log")
    return well("read model", "up to date" if not lag else f"{lag} events behind")


async def _checkpoint(model: ReadModel) -> Finding:
    about, row = "audit checkpoint", await model.one(select(func.max(audit_checkpoints.c.at)))
    if row is None or row[0] is None:
        return doubtful(about, "none was signed yet", "wait a minute; then see the auditor's log")
    age = (now() - row[0]).total_seconds()
    if age > CHECKPOINT_S:
        return bad(about, f"the last is {age / 60:.0f} minutes old", "see the auditor's log")
    return well(about, f"{age:.0f} seconds old")


async def _clock(model: ReadModel) -> Finding:
    row = await model.one(select(func.clock_timestamp()))
    ahead = abs((datetime.now(UTC) - row[0]).total_seconds()) if row else 0.0
    if ahead > SKEW_S:
        return bad("clock", f"PostgreSQL's differs by {ahead:.0f} s", "run NTP on every machine")
    return well("clock", "PostgreSQL's agrees")


async def _servers(model: ReadModel) -> Finding:
    ill = servers.c.health.in_(("unreachable", "degraded"))
    names = [row.name for row in await model.rows(select(servers.c.name).where(ill).limit(5))]
    if names:
        return doubtful("servers", f"not well: {', '.join(names)}", "holdfast server test NAME")
    return well("servers", "none is known to be unwell")


async def _gateway(installation: Installation) -> Finding:
    try:
        timeout = aiohttp.ClientTimeout(total=5)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{installation.url}/readyz") as response,
        ):
            if response.status == 200:
                return well("gateway", installation.url)
    except (aiohttp.ClientError, TimeoutError):
        pass
    return bad("gateway", "it is not ready", f"see {installation.home.log('gateway')}")
