"""The API under load: long lists, many readers, many listeners.

    python -m bench.api [--rows 1000000] [--seconds 60] [--rate 300] [--listeners 500]

Against the whole platform on this machine, the load included. Lists: among a million backups, by
every filter, first page and deep pages. Load: an open loop, so that a slow answer delays no later
request; nine of ten requests read, one writes (an fsync each). Listeners are in processes of their
own; each event carries the time at which it was appended.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import re
import tempfile
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import msgspec
import uvloop
from uuid_utils.compat import uuid7

from bench.figures import percentile, report
from services.cli.demo.api import first_admin
from services.launcher.directory import DataDirectory
from services.launcher.up import Platform, running
from shared.bus import Bus
from shared.bus.jetstream import connect
from shared.messages.settings import GroupSetting

EVENTS_PER_S = 5
WRITING_SHARE = 0.1
LISTENING_PROCESSES = 2
LOOKS = 400
FILL = """
INSERT INTO backups (id, run_id, database_id, server_id, endpoint, database_name, store_id, type,
    method, codec, status, proof, attempt, prefix, raw_bytes, stored_bytes, actor, note,
    requested_at, started_at, completed_at, version)
SELECT md5('backup' || i)::uuid, md5('run' || i)::uuid, md5('database' || i % 2000)::uuid,
    md5('server' || i % 100)::uuid, 'main', 'shop' || i % 2000, 'store-' || i % 3, 'full',
    'logical', 'zstd', (ARRAY['completed', 'completed', 'deleted', 'failed'])[1 + i % 4],
    'verified', 1, 'p/1', 1000000, 300000, 'bench', '', at, at, at, i
FROM generate_series(1, $1::bigint) AS i,
    LATERAL (SELECT now() - i * interval '31 seconds' AS at) AS time
"""
WRITES = (
    ("/policies", {"keep_last": 7}),
    ("/blackouts", {"cron": "0 8 * * *", "time_zone": "Europe/Berlin", "minutes": 60}),
    ("/notifications/templates", {"body": "A note", "channel_kind": "email"}),
)
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_APPENDED_AT = re.compile(rb'"description":"([0-9.]+)"')


async def fill(platform: Platform, rows: int) -> None:
    """Put rows straight into the read model: only what is read is measured."""
    url = platform.installation.database_url("writer").read_text()
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    await connection.execute(FILL, rows, timeout=900)
    await connection.execute("VACUUM ANALYZE backups", timeout=900)
    await connection.close()


async def lists(session: aiohttp.ClientSession) -> list[float]:
    """Milliseconds of each look at the long list."""
    took: list[float] = []
    database, server = _uuid("database7"), _uuid("server7")
    filters = ("", "status=failed", "status=running")
    for query in (*filters, f"database_id={database}", f"server_id={server}"):
        cursor = ""
        for _ in range(LOOKS // 5):
            began = time.perf_counter()
            async with session.get(f"/api/v1/backups?limit=50&{query}{cursor}") as response:
                page = await response.json()
            took.append((time.perf_counter() - began) * 1000)
            assert response.status == 200, page
            cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else ""
    return took


def _uuid(text: str) -> str:
    from hashlib import md5
    from uuid import UUID

    return str(UUID(md5(text.encode()).hexdigest()))


class Load:
    """Requests at a rate, whatever the answers take.

    Over connections of its own: a client library would take as much of the machine as the gateway.
    """

    def __init__(self, url: str, token: str) -> None:
        self._place, self._token = urlsplit(url), token
        self._idle: deque[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = deque()
        self.took_ms: list[float] = []
        self.statuses: Counter[int] = Counter()

    async def run(self, rate: int, seconds: float) -> None:
        """Begin `rate` requests a second for `seconds`, then wait for the last answer."""
        chance, count = random.Random(7420), int(rate * seconds)
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                due = began + number / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                writes = chance.random() < WRITING_SHARE
                group.create_task(self._one(due, writes, chance.randrange(1 << 30)))
        for _, writer in self._idle:
            writer.close()

    async def _one(self, due: float, writes: bool, number: int) -> None:
        """Timed from when it was due, so that waiting for a turn counts."""
        method, path, body = ("GET", self._read(number), b"")
        if writes:
            method, (path, fields) = "POST", WRITES[number % len(WRITES)]
            body = msgspec.json.encode({"name": f"bench {uuid7()}", **fields})
        status = await self._answered(method, path, body)
        self.took_ms.append((time.perf_counter() - due) * 1000)
        self.statuses[status] += 1

    async def _answered(self, method: str, path: str, body: bytes) -> int:
        if self._idle:
            reader, writer = self._idle.popleft()  # all in turn: one left idle is closed over there
        else:
            reader, writer = await asyncio.open_connection(self._place.hostname, self._place.port)
        writer.write(
            f"{method} /api/v1{path} HTTP/1.1\r\nHost: {self._place.netloc}\r\n"
            f"Authorization: Bearer {self._token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        assert length is not None, head
        await reader.readexactly(int(length[1]))
        self._idle.append((reader, writer))
        return int(head.split(b" ", 2)[1])

    def _read(self, number: int) -> str:
        database = _uuid(f"database{number % 2000}")
        return (
            "/backups?limit=20",
            f"/backups?limit=20&database_id={database}",
            f"/backups/{_uuid(f'backup{1 + number % 1000}')}",
            "/servers",
            "/stores",
            "/auth/me",
        )[number % 6]


def listening(url: str, token: str, count: int, heard: Any, over: Any) -> None:
    """A process of `count` listeners; puts the milliseconds of every event heard into `heard`."""
    took: list[float] = []

    async def one(reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            if found := _APPENDED_AT.search(line):
                took.append((time.time() - float(found[1])) * 1000)

    async def everybody() -> None:
        place = urlsplit(url)
        ask = (
            f"GET /api/v1/events?topics=group HTTP/1.1\r\nHost: {place.netloc}\r\n"
            f"Authorization: Bearer {token}\r\n\r\n"
        )
        tasks, writers = [], []
        for _ in range(count):
            reader, writer = await asyncio.open_connection(place.hostname, place.port)
            writer.write(ask.encode())
            status = await reader.readline()
            assert b" 200 " in status, status
            tasks.append(asyncio.create_task(one(reader)))
            writers.append(writer)
        heard.put("ready")
        await asyncio.to_thread(over.wait)
        await asyncio.sleep(1)
        for task in tasks:
            task.cancel()
        heard.put(took)
        for writer in writers:
            writer.transport.abort()

    uvloop.run(everybody())


async def tell(bus: Bus, seconds: float) -> int:
    """Append EVENTS_PER_S events a second that carry their time; how many."""
    count = int(seconds * EVENTS_PER_S)
    for _ in range(count):
        key = str(uuid7())
        await bus.append(GroupSetting(key=key, name=key, description=f"{time.time():.6f}"))
        await asyncio.sleep(1 / EVENTS_PER_S)
    return count


async def measure(options: argparse.Namespace) -> bool:
    """Every figure; whether each reaches its bar."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        async with running(DataDirectory(Path(name) / "home")) as platform:
            await fill(platform, options.rows)
            token = platform.first_admin_token
            assert token is not None
            async with first_admin(platform.url, token, "bench-bench-1") as api:
                session = api._session
                took = await lists(session)
                good = report(
                    f"list_among_{options.rows}_p99", percentile(took, 0.99), "ms", at_most=50
                )
                access = session.headers["Authorization"].removeprefix("Bearer ")
                return good & await _under_load(platform, access, options)


async def _under_load(platform: Platform, access: str, options: argparse.Namespace) -> bool:
    context = multiprocessing.get_context("spawn")
    heard, over = context.Queue(), context.Event()
    share = options.listeners // LISTENING_PROCESSES
    listeners = [
        context.Process(
            target=listening, args=(platform.url, access, share, heard, over), daemon=True
        )
        for _ in range(LISTENING_PROCESSES)
    ]
    for one in listeners:
        one.start()
    for _ in listeners:
        assert await asyncio.to_thread(heard.get, True, 120) == "ready"
    load = Load(platform.url, access)
    async with connect(platform.installation.bus_settings("gateway"), source="bench") as bus:
        told, _ = await asyncio.gather(
            tell(bus, options.seconds), load.run(options.rate, options.seconds)
        )
    over.set()
    delays = [delay for _ in listeners for delay in await asyncio.to_thread(heard.get, True, 60)]
    for one in listeners:
        one.join()
    broken = sum(count for status, count in load.statuses.items() if status >= 400)
    good = report(
        f"api_{options.rate}_per_s_p99", percentile(load.took_ms, 0.99), "ms", at_most=150
    )
    good &= report("api_refused_or_failed", broken, "", at_most=0)
    good &= report("sse_listeners_that_missed", told * share * 2 - len(delays), "events", at_most=0)
    return good & report("event_to_listener_p99", percentile(delays, 0.99), "ms", at_most=100)


def main() -> int:
    """Measure and report; 1 when a figure misses its bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=int, default=300)
    parser.add_argument("--listeners", type=int, default=500)
    options, _ = parser.parse_known_args()
    return 0 if uvloop.run(measure(options)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
