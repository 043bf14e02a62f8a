"""Whole backups through the running platform: memory, and speed against a pipe of tools.

    python -m bench.backups [--size-mb 1024] [--rounds 5]

Both sides read the same PostgreSQL 16 with `pg_dump -Fc -Z0` and end with an fsync; ours is timed
from `POST /backups` to *completed*, so everything that a backup is counts: dispatch, the content
record, chunking, hashing, the index, the read-back and the signed manifest.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench.figures import report
from services.cli.demo.api import Api, first_admin
from services.cli.demo.customer import Customer, customer
from services.launcher.directory import DataDirectory
from services.launcher.up import Platform, running
from tests.support.s3 import rclone_s3

RAW_PER_ROW = 242
FILL = """
CREATE TABLE goods AS
SELECT i AS id, md5(i::text) AS code, now() + i * interval '1 second' AS at,
       (random() * 1e6)::numeric(12, 2) AS price,
       repeat(chr(97 + (i % 26)::int), 20) || md5((i * 7)::text)
       || ' amber basket cedar delta ember ' || (i % 1000)
       || ' fabric garden harbor island jacket kernel ladder marble needle orchid' AS text
FROM generate_series(1, {rows}::bigint) AS i
"""
MEBIBYTE = 1 << 20
ENDED = {"completed", "failed", "cancelled"}
ENDINGS = (b".completed", b".failed", b".cancelled")


async def fill(source: Customer, name: str, size_mb: int) -> None:
    """A database whose dump has about that many megabytes."""
    admin = await source.database("postgres").connect()
    await admin.execute(f"CREATE DATABASE {name}")
    await admin.close()
    connection = await source.database(name).connect()
    await connection.execute(FILL.format(rows=size_mb * 1_000_000 // RAW_PER_ROW))
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


class Bench:
    """A platform with a customer's server and two stores."""

    def __init__(self, platform: Platform, source: Customer, api: Api, folder: Path) -> None:
        self.platform, self.source, self.api, self.folder = platform, source, api, folder
        self.server = ""
        self.stores: dict[str, str] = {}

    async def register(self, s3: dict[str, Any]) -> None:
        """The server, a local store and an S3 store."""
        database = self.source.database("postgres")
        engine = {
            "kind": "postgresql",
            "host": database.host,
            "port": database.port,
            "user": database.user,
            "password": database.password,
            "tls": "off",
        }
        endpoints = [{"name": "postgresql", "engine": engine}]
        body = {"name": "bench", "runner": {"kind": "local"}, "endpoints": endpoints}
        self.server = (await self.api.post("/servers", body))["id"]
        (self.folder / "archives").mkdir()
        local = {"kind": "local", "root": str(self.folder / "archives")}
        for name, store in (("local", local), ("s3", s3)):
            made = await self.api.post("/stores", {"name": name, "store": store})
            self.stores[name] = made["id"]

    async def back_up(self, name: str, store: str, **how: str) -> tuple[float, dict[str, Any]]:
        """Seconds from request to completion, and the backup; `how` are further fields."""
        database = {"server_id": self.server, "endpoint": "postgresql", "name": name}
        body = {"database": database, "store_id": self.stores[store], **how}
        began = time.monotonic()
        asked = await self.api.post("/backups", body)
        await self.ended(asked["run_id"])
        return time.monotonic() - began, await self.api.get(f"/backups/{asked['id']}")

    async def ended(self, run_id: str) -> None:
        """Wait as a page does, by live events: asking ten times a second would be measured, too."""
        query = {"run": run_id}
        async with (
            asyncio.timeout(900),
            self.api._session.get("/api/v1/events", params=query) as response,
        ):
            run = await self.api.get(f"/runs/{run_id}")
            while run["status"] not in ENDED:
                line = await response.content.readline()
                if line.startswith(b"event:") and line.strip().endswith(ENDINGS):
                    run = await self.api.get(f"/runs/{run_id}")
        await self.api.ended(run_id)  # raises where it went wrong

    async def peak_above_idle(self, name: str, store: str) -> float:
        """MiB that the executor's high-water mark rises above what it has when idle."""
        process = Path("/proc", str(self.platform.children["executor"].pid))
        (process / "clear_refs").write_text("5")  # VmHWM begins again at VmRSS
        idle = _status(process, "VmHWM")
        await self.back_up(name, store)
        return (_status(process, "VmHWM") - idle) / MEBIBYTE

    def tools(self, name: str) -> float:
        """Seconds of the pipe that a person would write, with the same durability."""
        database = self.source.database(name)
        out, key = self.folder / "tools.out", self.folder / "tools.key"
        key.write_text("not a secret")
        script = (
            '"$1" -Fc -Z0 -h "$2" -p "$3" -U "$4" -d "$5" | zstd -q -3 -T2'
            ' | openssl enc -aes-256-ctr -pbkdf2 -pass file:"$6" > "$7" && sync "$7"'
        )
        words = [database.tools / "pg_dump", database.host, database.port, database.user, name]
        began = time.monotonic()
        subprocess.run(
            ["/bin/sh", "-c", script, "sh", *map(str, words), str(key), str(out)],
            env={**os.environ, "PGPASSWORD": database.password, "PGSSLMODE": "disable"},
            check=True,
        )
        seconds = time.monotonic() - began
        out.unlink()
        return seconds


def _status(process: Path, name: str) -> int:
    line = next(
        line for line in (process / "status").read_text().splitlines() if line.startswith(name)
    )
    return int(line.split()[1]) * 1024


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    """Start everything in a temporary folder."""
    async with AsyncExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="holdfast-bench-"))
        folder = Path(name)
        source = await stack.enter_async_context(customer(folder / "customer"))
        await source.started()
        platform = await stack.enter_async_context(running(DataDirectory(folder / "home")))
        token = platform.first_admin_token
        assert token is not None
        api = await stack.enter_async_context(first_admin(platform.url, token, "bench-bench-1"))
        s3 = stack.enter_context(rclone_s3(folder / "s3"))
        ready = Bench(platform, source, api, folder)
        await ready.register(msgspec.to_builtins(s3.store()))
        yield ready


async def measure(size_mb: int, rounds: int) -> bool:
    """All figures of whole backups; whether each reaches its bar."""
    async with bench() as ready:
        await fill(ready.source, "large", 2 * size_mb)
        await fill(ready.source, "wide", size_mb)
        good = True
        for store in ("local", "s3"):
            peak = await ready.peak_above_idle("large", store)
            good &= report(f"executor_peak_{store}_{2 * size_mb}_mb", peak, "MiB", at_most=64)
        ours, tools = [], []
        for _ in range(rounds):
            tools.append(await asyncio.to_thread(ready.tools, "wide"))
            seconds, done = await ready.back_up("wide", "local")
            ours.append(seconds)
        raw_mb = done["raw_bytes"] / 1e6
        report("backup_raw", raw_mb, "MB")
        report("backup_mb_per_s", raw_mb / statistics.median(ours), "MB/s")
        report("tools_mb_per_s", raw_mb / statistics.median(tools), "MB/s")
        ratio = statistics.median(tools) / statistics.median(ours)
        return good & report("backup_vs_tools", ratio, "x", at_least=0.9)


def main() -> int:
    """Measure and report; 1 when a figure misses its bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mb", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    options, _ = parser.parse_known_args()
    return 0 if asyncio.run(measure(options.size_mb, options.rounds)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
