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
from pathlib import Path
from typing import Any, NamedTuple

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


class Peer(NamedTuple):
    """Another program: the shell scripts that make its repository, and add a backup."""

    name: str
    begin: str
    add: str


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

    def first(self, peer: Peer) -> float:
        """Seconds of a first backup into a new repository."""
        shutil.rmtree(self._folder / peer.name, ignore_errors=True)
        self.run(peer.begin)
        return self.run(peer.add)

    def added(self, peer: Peer) -> int:
        """The bytes that one more backup adds."""
        before = _bytes(self._folder / peer.name)
        self.run(peer.add)
        return _bytes(self._folder / peer.name) - before


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


async def fulls(ready: Bench, rivals: Rivals, rounds: int) -> tuple[dict[str, Any], bool]:
    """Alternating fulls, wall and CPU against the pipe of tools, and wall against the peers that
    are installed: the last of ours, and whether all is good."""
    peers = installed()
    walls: dict[str, list[float]] = {"ours": [], "tools": [], "lz4": []}
    walls |= {peer.name: [] for peer in peers}
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
        for peer in peers:
            walls[peer.name].append(await asyncio.to_thread(rivals.first, peer))
        walls["lz4"].append((await backed_up(ready, "full", "lz4"))[0])
    ours = statistics.median(walls["ours"])
    wall = median_ratio(walls["tools"], walls["ours"])
    cpu = median_ratio(cpus["ours"], cpus["tools"])
    report("full_mb_per_s", full["raw_bytes"] / 1e6 / ours, "MB/s")
    good = report("full_wall_vs_tools", wall, "x", at_least=0.95)
    good &= report("full_cpu_vs_tools", cpu, "x", at_most=1.2)
    for peer in peers:
        # Like against like: the row is zstd 3. What borg's lz4 saves in time it stores in bytes.
        ratio = median_ratio(walls[peer.name], walls["ours"])
        good &= report(f"full_wall_vs_{peer.name}", ratio, "x", at_least=_BARS.get(peer.name))
        if peer.name == "borg_lz4":
            ratio = median_ratio(walls[peer.name], walls["lz4"])
            good &= report("full_lz4_wall_vs_borg_lz4", ratio, "x", at_least=1)
    return full, good


def _children_cpu(pid: int) -> float:
    """CPU seconds of children that a process has waited for: the dump tools."""
    fields = Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


async def increments(ready: Bench, rivals: Rivals, full: dict[str, Any]) -> tuple[Any, bool]:
    """Five of 0.1 % updated rows and one of 1 % appended: the last of the six, and whether good."""
    whole, ratios, shares = full["stored_bytes"], list[float](), list[float]()
    await backed_up(ready, "full")  # the increments build on the newest full
    good = True
    for number in range(5):
        await execute(ready, UPDATE.format(n=100 + number))
        bare = await asyncio.to_thread(rivals.bare)
        took, updated = await backed_up(ready, "incremental")
        ratios.append(took / bare)
        shares.append(100 * updated["stored_bytes"] / whole)
        for peer in installed() if not number else ():
            share = 100 * (await asyncio.to_thread(rivals.added, peer)) / whole
            report(f"updated_stored_by_{peer.name}", share, "%")
    good &= report("updated_stored", shares[0], "%", at_most=5)
    # From the second on PostgreSQL puts new rows where others were: each changes two places.
    report("updated_stored_later", max(shares), "%")
    good &= report("updated_wall_vs_bare_dump", statistics.median(ratios), "x", at_most=1.1)
    await execute(ready, APPEND.format(rows=full["raw_bytes"] // 242 // 100))
    _, last = await backed_up(ready, "incremental")
    return last, good & report(
        "appended_stored", 100 * last["stored_bytes"] / whole, "%", at_most=1.5
    )


def installed() -> list[Peer]:
    """restic at its defaults, and borg with zstd 3 and at its default, lz4."""
    found = []
    if shutil.which("restic"):
        add = "$D | restic -q -r restic backup --stdin --stdin-filename dump"
        found.append(Peer("restic", "restic -q init -r restic", add))
    for name, codec in (("borg_zstd", "zstd,3"), ("borg_lz4", "lz4")):
        if shutil.which("borg"):
            add = f'$D | borg create -C {codec} "{name}::$(date +%s%N)" -'
            found.append(Peer(name, f"borg init -e repokey {name}", add))
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
        full, good = await fulls(ready, rivals, rounds)
        last, stored = await increments(ready, rivals, full)
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
