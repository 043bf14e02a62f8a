"""Is anybody there to do the work: the executors of each pool, and the tools they need here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any

import msgspec
from sqlalchemy import select

from services.launcher.doctor.at_rest import dump_majors, program
from services.launcher.doctor.findings import Finding, bad, doubtful, well
from shared.bus import Bus
from shared.bus.api import ask_api
from shared.bus.link import Link
from shared.errors import PlatformError
from shared.messages.base import CORE
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import servers

KINDS = ("backup", "restore", "verification", "server")
LOOKS, LOOK_EVERY_S = 10, 0.2
REDIS = ("valkey-server", "redis-server")


class _Probed(msgspec.Struct):
    """What the last probe of a server heard: of each endpoint its engine's version."""

    versions: dict[str, str] = {}


async def each_pool(link: Link, model: ReadModel) -> AsyncIterator[Finding]:
    """`core`, and the pools of the servers there are."""
    rows = await model.rows(select(servers.c.pool).distinct())
    for pool in sorted({CORE, *(row.pool for row in rows)}):
        silent = [kind for kind in KINDS if not await _listens(link, f"executor-{pool}-{kind}")]
        if silent:
            says = f"nobody listens for orders of: {', '.join(silent)}"
            yield bad(f"pool {pool}", says, "start an executor of this pool, or see its log")
        else:
            yield well(f"pool {pool}", "executors listen")


async def _listens(link: Link, durable: str) -> bool:
    """Whether anybody waits for an order, or is at one; between two waits there is a moment."""
    for _ in range(LOOKS):
        try:
            said = await ask_api(link, f"CONSUMER.INFO.COMMANDS.{durable}")
        except PlatformError:
            return False  # no executor of this pool was ever there
        if said.get("num_waiting") or said.get("num_ack_pending"):
            return True
        await asyncio.sleep(LOOK_EVERY_S)
    return False


async def each_engine(bus: Bus, model: ReadModel) -> AsyncIterator[Finding]:
    """Every engine that is run from this machine: are its tools here, of the servers' versions."""
    query = select(servers.c.id, servers.c.endpoints, servers.c.runner).where(
        servers.c.pool == CORE
    )
    local = [row for row in await model.rows(query) if row.runner.get("kind") == "local"]
    majors, kinds = set[int](), set[str]()
    for row in local:
        heard = await _versions(bus, str(row.id))
        engines = {one["name"]: one["engine"]["kind"] for one in row.endpoints}
        kinds |= set(engines.values())
        majors |= postgres_majors(engines, heard)
    if majors:
        yield dumps(majors, dump_majors())
    if "redis" in kinds:
        yield redis(next(filter(None, map(program, REDIS)), None))


async def _versions(bus: Bus, server_id: str) -> dict[str, str]:
    entry = await bus.kv("beats").get(f"probe.{CORE}.{server_id}")
    if entry is None or entry.value is None:
        return {}
    return msgspec.json.decode(entry.value, type=_Probed).versions


def postgres_majors(engines: dict[str, Any], heard: dict[str, str]) -> set[int]:
    """The major versions that PostgreSQL endpoints answered with."""
    said = [heard.get(name, "") for name, kind in engines.items() if kind == "postgresql"]
    return {int(major) for one in said if (major := one.partition(".")[0]).isdecimal()}


def dumps(needed: Collection[int], found: Collection[int]) -> Finding:
    """PostgreSQL is dumped by the tools of exactly its own major version."""
    name = "versions of pg_dump"
    if missing := sorted(set(needed) - set(found)):
        packages = " ".join(f"postgresql-client-{major}" for major in missing)
        says = f"servers run {', '.join(map(str, missing))}, and no such pg_dump is here"
        return bad(name, says, f"apt install {packages}")
    return well(name, f"there for every server: {', '.join(map(str, sorted(needed)))}")


def redis(path: str | None) -> Finding:
    """Redis is dumped over its own protocol; only a test restore needs a server of it here."""
    if path is None:
        fix = "apt install redis-server"
        return doubtful("redis-server", "none is installed, so no restore can be tested", fix)
    return well("redis-server", path)
