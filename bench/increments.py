"""Chains through the running platform: what an increment stores and takes, what a restore takes.

    python -m bench.increments [--size-mb 1024] [--rounds 5]

The rivals read the same PostgreSQL 16 with `pg_dump -Fc -Z0`: a bare dump, `zstd -3 -T2 | openssl
enc` with `pg_restore` behind its inverse, restic at its defaults, and borg with zstd 3 and at its
default, lz4, where they are installed (`apt install restic borgbackup`). Ours is timed from the
request to *completed*. A ratio is the median of those of neighbouring rounds: a machine that others
use, too, is a fifth faster at one minute than at the next.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.backups import Bench, bench, fill
from bench.figures import report

NAME = "chained"
_BARS = {"restic": 1.0, "borg_zstd": 1.0}
UPDATE = "UPDATE goods SET price = price + 1 WHERE id % 1000 = {n}"
APPEND = """
INSERT INTO goods SELECT m + i, md5((m + i)::text), now() + i * interval '1 second',
    (random() * 1e6)::numeric(12, 2), repeat(chr(97 + (i % 26)::int), 20) || md5((i * 7)::text)
    || ' amber basket cedar delta ember ' || (i % 1000)
    || ' fabric garden harbor island jacket kernel ladder marble needle orchid'
FROM (SELECT max(id) AS m FROM goods) AS last, generate_series(1, {rows}) AS i
"""


class Rivals:
    """The same server, dumped by the tools a person would use."""

    def __init__(self, ready: Bench) -> None:
        self._database, self._folder = ready.source.database(NAME), ready.folder
        self.environment = {
            **os.environ,
            "PGHOST": self._database.host,
            "PGPORT": str(self._database.port),
            "PGUSER": self._database.user,
            "PGPASSWORD": self._database.password,
            "PGSSLMODE": "disable",
            "RESTIC_PASSWORD": "bench",
            "BORG_PASSPHRASE": "bench",
            "HOME": str(ready.folder),
        }

    def run(self, script: str) -> float:
        """Seconds of a shell script in which $D dumps and $T is the folder of the tools."""
        tools = self._database.tools
        began = time.monotonic()
        subprocess.run(
            ["/bin/bash", "-o", "pipefail", "-euc", script],
            env=self.environment | {"D": f"{tools}/pg_dump -Fc -Z0 {NAME}", "T": str(tools)},
            cwd=self._folder,
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if "borg" in script else None,  # it greets at length
        )
        return time.monotonic() - began

    def bare(self) -> float:
        return self.run("$D > /dev/null")

    def packed(self) -> float:
        key = "-pbkdf2 -pass pass:bench"
        return self.run(f"$D | zstd -q -3 -T2 | openssl enc -aes-256-ctr {key} > t && sync t")

    def restored(self, name: str) -> float:
        """Seconds until a new database is there, filled and analyzed."""
        key = "-pbkdf2 -pass pass:bench"
        pipe = f"openssl enc -d -aes-256-ctr {key} < t | zstd -qd | $T/pg_restore -d {name}"
        return self.run(f"$T/createdb {name}; {pipe}; $T/psql -qc analyze {name}")

    def stored(self, first: str, again: str, folder: str) -> tuple[float, Callable[[], int]]:
        """Seconds of a first backup by restic or borg, and the bytes that each further one adds."""
        seconds = self.run(first)
        sizes = [_bytes(self._folder / folder)]

        def added() -> int:
            self.run(again)
            sizes.append(_bytes(self._folder / folder))
            return sizes[-1] - sizes[-2]

        return seconds, added


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def backed_up(ready: Bench, kind: str, codec: str = "zstd") -> tuple[float, dict[str, Any]]:
    """Seconds from request to completion, and the backup."""
    return await ready.back_up(NAME, "local", type=kind, codec=codec)


def median_ratio(over: list[float], under: list[float]) -> float:
    """The median of the ratios of neighbours."""
    return statistics.median(one / other for one, other in zip(over, under, strict=True))


async def restored(ready: Bench, backup: dict[str, Any], name: str) -> float:
    """Seconds until a restore into a new database was checked."""
    began = time.monotonic()
    database = {"server_id": ready.server, "endpoint": "postgresql", "name": name}
    body = {"target": database, "reason": "bench"}
    asked = await ready.api.post(f"/backups/{backup['id']}/restore", body)
    await ready.ended(asked["run_id"])
    seconds = time.monotonic() - began
    await execute(ready, f"DROP DATABASE {name}", "postgres")
    return seconds


async def execute(ready: Bench, sql: str, name: str = NAME) -> None:
    """Change the database that is backed up."""
    connection = await ready.source.database(name).connect()
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def cpu_of(pid: int) -> float:
    """CPU seconds that a process has used so far."""
    fields = Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def fulls(ready: Bench, rivals: Rivals, rounds: int) -> tuple[dict[str, Any], float, bool]:
    """Alternating fulls, wall and CPU against the pipe of tools: the last, its seconds, if good."""
    walls: dict[str, list[float]] = {"ours": [], "tools": []}
    cpus: dict[str, list[float]] = {"ours": [], "tools": []}
    executor = ready.platform.children["executor"].pid
    for _ in range(rounds):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        walls["tools"].append(await asyncio.to_thread(rivals.packed))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus["tools"].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        began = cpu_of(executor) + _children_cpu(executor)
        seconds, full = await backed_up(ready, "full")
        walls["ours"].append(seconds)
        cpus["ours"].append(cpu_of(executor) + _children_cpu(executor) - began)
    ours = statistics.median(walls["ours"])
    wall = median_ratio(walls["tools"], walls["ours"])
    cpu = median_ratio(cpus["ours"], cpus["tools"])
    report("full_mb_per_s", full["raw_bytes"] / 1e6 / ours, "MB/s")
    good = report("full_wall_vs_tools", wall, "x", at_least=0.95)
    return full, ours, good & report("full_cpu_vs_tools", cpu, "x", at_most=1.2)


def _children_cpu(pid: int) -> float:
    """CPU seconds of children that a process has waited for: the dump tools."""
    fields = Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


async def increments(
    ready: Bench, rivals: Rivals, full: dict[str, Any], seconds: float
) -> tuple[Any, bool]:
    """Five of 0.1 % updated rows and one of 1 % appended: the last of the six, and whether good."""
    whole, ratios = full["stored_bytes"], list[float]()
    made = _repositories(rivals)
    lz4, _ = await backed_up(ready, "full", "lz4")
    await backed_up(ready, "full")  # the increments build on the newest full
    good = True
    for name, took, _ in made:
        # Like against like: the row is zstd 3. What borg's lz4 saves in time it stores in bytes.
        bar = _BARS.get(name)
        good &= report(f"full_wall_vs_{name}", took / seconds, "x", at_least=bar)
        if name == "borg_lz4":
            good &= report("full_lz4_wall_vs_borg_lz4", took / lz4, "x", at_least=1)
    for number in range(5):
        await execute(ready, UPDATE.format(n=100 + number))
        bare = await asyncio.to_thread(rivals.bare)
        took, updated = await backed_up(ready, "incremental")
        ratios.append(took / bare)
        if not number:
            good &= report("updated_stored", 100 * updated["stored_bytes"] / whole, "%", at_most=5)
            for name, _, added in made:
                share = 100 * (await asyncio.to_thread(added)) / whole
                report(f"updated_stored_by_{name}", share, "%")
    good &= report("updated_wall_vs_bare_dump", statistics.median(ratios), "x", at_most=1.1)
    await execute(ready, APPEND.format(rows=full["raw_bytes"] // 242 // 100))
    _, last = await backed_up(ready, "incremental")
    return last, good & report(
        "appended_stored", 100 * last["stored_bytes"] / whole, "%", at_most=1.5
    )


def _repositories(rivals: Rivals) -> list[tuple[str, float, Callable[[], int]]]:
    found = []
    if shutil.which("restic"):
        add = "$D | restic -q -r restic backup --stdin --stdin-filename dump"
        found.append(
            ("restic", *rivals.stored(f"restic -q init -r restic && {add}", add, "restic"))
        )
    for name, codec in (("borg_zstd", "zstd,3"), ("borg_lz4", "lz4")):
        if shutil.which("borg"):
            add = f'$D | borg create -C {codec} "{name}::$(date +%s%N)" -'
            begun = f"borg init -e repokey {name} && {add}"
            found.append((name, *rivals.stored(begun, add, name)))
    return found


async def restores(ready: Bench, rivals: Rivals, full: Any, last: Any, rounds: int) -> bool:
    """The full, and the full with six increments, against the pipe of tools."""
    times: dict[str, list[float]] = {"full": [], "chain": [], "tools": []}
    for number in range(rounds):
        times["tools"].append(await asyncio.to_thread(rivals.restored, f"tools{number}"))
        await execute(ready, f"DROP DATABASE tools{number}", "postgres")
        times["full"].append(await restored(ready, full, f"full{number}"))
        times["chain"].append(await restored(ready, last, f"chain{number}"))
    tools = median_ratio(times["tools"], times["full"])
    good = report("restore_full_vs_tools", tools, "x", at_least=0.95)
    chain = median_ratio(times["chain"], times["full"])
    return good & report("restore_chain_vs_full", chain, "x", at_most=1.15)


async def measure(size_mb: int, rounds: int) -> bool:
    """All figures; whether each reaches its bar."""
    async with bench() as ready:
        await fill(ready.source, NAME, size_mb)
        rivals = Rivals(ready)
        full, seconds, good = await fulls(ready, rivals, rounds)
        last, stored = await increments(ready, rivals, full, seconds)
        return good & stored & await restores(ready, rivals, full, last, rounds)


def main() -> int:
    """Measure and report; 1 when a figure misses its bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-mb", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    options, _ = parser.parse_known_args()
    return 0 if asyncio.run(measure(options.size_mb, options.rounds)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
