"""Retention: a million backups judged by every rule, in memory and from the read model.

    python -m bench.retention [--rows 1000000]

In memory: the pure decider alone, for a thousand databases and for one that has them all. From the
read model: what the service does when it starts, from the rows in PostgreSQL to the verdicts, and
how long its event loop answers nobody meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import asyncpg

from bench.figures import report
from services.retention.service import batches
from shared.readmodel.migrations import migrate
from shared.readmodel.reader import ReadModel, read_model
from shared.retention.history import histories, sizes
from shared.retention.policy import Candidate, judged
from shared.retention.rules import Rules
from tests.support.postgres import postgres_server

NOW = datetime(2026, 11, 26, tzinfo=UTC)
DATABASES = 1000
RULES = Rules(
    id="every",
    name="every",
    keep_last=7,
    keep_days=30,
    keep_daily=60,
    keep_weekly=52,
    keep_monthly=36,
    keep_yearly=10,
    min_age_s=86_400,
)
FILL = """
INSERT INTO backups (id, run_id, database_id, server_id, endpoint, database_name, store_id, type,
    method, codec, status, proof, attempt, prefix, raw_bytes, stored_bytes, actor, note,
    requested_at, started_at, completed_at, taken_at, version, schedule_id)
SELECT md5('backup' || i)::uuid, md5('run' || i)::uuid, md5('database' || i % $2)::uuid,
    md5('server' || i % 100)::uuid, 'main', 'shop' || i % $2, 'store-' || i % 3, 'full',
    'logical', 'zstd', 'completed', 'verified', 1, 'p/1', 1000000, 300000, 'bench', '',
    at, at, at, at, i, 'nightly'
FROM generate_series(1, $1::bigint) AS i,
    LATERAL (SELECT now() - (i / $2) * interval '1 day' AS at) AS time
"""
PLAN = """
INSERT INTO databases (id, server_id, endpoint, name, policy_id, version)
SELECT DISTINCT database_id, server_id, endpoint, database_name, 'every', 1 FROM backups
    ON CONFLICT DO NOTHING;
INSERT INTO retention_policies (id, name, keep_last, keep_days, keep_daily, keep_weekly,
    keep_monthly, keep_yearly, min_age_s, version, created_at, updated_at)
VALUES ('every', 'every', 7, 30, 60, 52, 36, 10, 86400, 1, now(), now());
INSERT INTO schedules (id, name, cron, time_zone, database_ids, group_ids, tags, targets,
    type_wanted, method, codec, jitter_s, blackout_ids, missed, missed_within_s, paused, version,
    created_at, updated_at)
VALUES ('nightly', 'nightly', '0 2 * * *', 'Europe/Berlin', '[]', '[]', '[]',
    '[{"store_id": "store-1", "policy_id": "every"}]', 'full', 'logical', 'zstd', 0, '[]',
    'run_once', 86400, false, 1, now(), now());
"""


def history(count: int, every: timedelta) -> list[Candidate]:
    """So many verified backups of one database, in three stores."""
    zone = ZoneInfo("Europe/Berlin")
    return [
        Candidate(
            backup_id=UUID(int=number),
            store_id=f"store-{number % 3}",
            taken_at=NOW - number * every,
            rules=RULES,
            zone=zone,
            verified=number % 7 != 0,
        )
        for number in range(count)
    ]


def in_memory(rows: int) -> bool:
    """The decider alone."""
    many = history(rows // DATABASES, timedelta(days=1))
    began = time.monotonic()
    for _ in range(DATABASES):
        judged(many, NOW)
    spread = time.monotonic() - began
    one = history(rows, timedelta(minutes=2))
    began = time.monotonic()
    judged(one, NOW)
    alone = time.monotonic() - began
    good = report(f"retention_judges_{rows}_of_{DATABASES}_databases", spread, "s", at_most=10)
    return report(f"retention_judges_{rows}_of_one_database", alone, "s", at_most=10) & good


async def from_read_model(rows: int) -> None:
    """What a start of the service takes; without a bar, since Postgres has most of it."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        async with _filled(Path(name), rows) as model:
            pulse = Pulse()
            beating = asyncio.create_task(pulse.beat())
            began = time.monotonic()
            expired = 0
            found = await sizes(model)
            for some in batches([one for one, _ in found], dict(found)):
                for standing in (await histories(model, some)).values():
                    judgement = await asyncio.to_thread(judged, standing, datetime.now(UTC))
                    expired += len(judgement.expired)
            seconds = time.monotonic() - began
            beating.cancel()
    report(f"retention_pass_over_{rows}_rows", seconds, "s")
    report("retention_pass_expires", expired, "")
    report("retention_pass_longest_pause", pulse.longest_s * 1000, "ms")


class Pulse:
    """How late the event loop comes, at worst, to what is due every 5 ms."""

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def beat(self) -> None:
        """For ever."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            self.longest_s = max(self.longest_s, time.monotonic() - before - 0.005)


@asynccontextmanager
async def _filled(folder: Path, rows: int) -> AsyncIterator[ReadModel]:
    with postgres_server(folder / "postgres") as postgres:
        name = f"bench_{uuid4().hex}"
        admin = await asyncpg.connect(postgres.dsn())
        await admin.execute(f"CREATE DATABASE {name}")
        await admin.close()
        url = postgres.dsn(name, driver="postgresql+asyncpg")
        await migrate(url)
        connection = await asyncpg.connect(postgres.dsn(name))
        await connection.execute(FILL, rows, DATABASES, timeout=900)
        await connection.execute(PLAN)
        await connection.execute("VACUUM ANALYZE backups", timeout=900)
        await connection.close()
        async with read_model(url) as model:
            yield model


def main() -> int:
    """Measure and report; 1 when a figure misses its bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options, _ = parser.parse_known_args()
    good = in_memory(options.rows)
    asyncio.run(from_read_model(options.rows))
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
