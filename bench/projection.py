"""Events through append and projection, as a ratio to what the bare server stores.

    python -m bench.projection [--events 5000] [--rounds 3] [--seconds 300]

Both sides publish the same bytes with 256 in flight to a nats-server that syncs every write; ours
is timed from the first append until the last event is visible in Postgres. Then events come for
`--seconds` at STEADY of the bare server's rate, and each is timed from its append until it is
visible.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import statistics
import tempfile
import time
from pathlib import Path

import nats as nats_client
from uuid_utils.compat import uuid7

from bench.figures import percentile, report
from services.launcher.directory import DataDirectory
from services.launcher.up import running
from shared.bus import Bus
from shared.bus.jetstream import connect
from shared.messages.settings import PolicySetting
from shared.messages.wire import encode, headers
from shared.readmodel.reader import ReadModel, read_model
from tests.support.nats import nats_server

IN_FLIGHT = 256
STEADY = 0.35
LOOK_EVERY_S = 0.02


def an_event() -> PolicySetting:
    """A new policy: an event that starts nothing else."""
    key = str(uuid7())
    return PolicySetting(key=key, name=f"bench {key}", keep_last=7)


async def bare(url: str, count: int) -> float:
    """Events a second that nats-py alone has acknowledged."""
    client = await nats_client.connect(url)
    js = client.jetstream()
    await js.add_stream(name="BENCH", subjects=["cfg.>"])
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def one() -> None:
        event = an_event()
        async with slots:
            await js.publish(event.subject, encode(event), headers=headers(event, "bench"))

    began = time.monotonic()
    await asyncio.gather(*(one() for _ in range(count)))
    seconds = time.monotonic() - began
    await js.delete_stream("BENCH")
    await client.close()
    return count / seconds


async def projected(bus: Bus, model: ReadModel, count: int) -> float:
    """Events a second from append to the read model."""
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def one() -> int:
        async with slots:
            return (await bus.append(an_event())).seq

    began = time.monotonic()
    landed = await asyncio.gather(*(one() for _ in range(count)))
    await model.at_least(max(landed), within_s=120)
    return count / (time.monotonic() - began)


async def steadily(bus: Bus, model: ReadModel, per_s: float, seconds: float) -> list[float]:
    """Seconds from the append of each event until it was visible, at a rate."""
    pending: list[tuple[int, float]] = []
    lags: list[float] = []
    over = asyncio.Event()

    async def one() -> None:
        landed = await bus.append(an_event())
        heapq.heappush(pending, (landed.seq, time.monotonic()))

    async def watch() -> None:
        while pending or not over.is_set():
            position, at = await model.position(), time.monotonic()
            while pending and pending[0][0] <= position:
                lags.append(max(0.0, at - heapq.heappop(pending)[1]))
            await asyncio.sleep(LOOK_EVERY_S)

    async with asyncio.TaskGroup() as watching:
        watching.create_task(watch())
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number in range(int(per_s * seconds)):
                await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
                group.create_task(one())
        over.set()
    return lags


async def measure(count: int, rounds: int, seconds: float) -> bool:
    """Both sides in turn, then ours at a steady rate; whether the lag reaches its bar."""
    ours, theirs = [], []
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        async with running(DataDirectory(Path(name) / "home")) as platform:
            installation = platform.installation
            url = installation.database_url("reader").read_text()
            async with (
                connect(installation.bus_settings("gateway"), source="bench") as bus,
                read_model(url) as model,
            ):
                with nats_server(Path(name) / "bare") as server:
                    for _ in range(rounds):
                        theirs.append(await bare(server.url, count))
                        ours.append(await projected(bus, model, count))
                per_s = STEADY * statistics.median(theirs)
                lags = await steadily(bus, model, per_s, seconds)
    report("bare_publish_per_s", statistics.median(theirs), "1/s")
    report("append_to_projection_per_s", statistics.median(ours), "1/s")
    report("projection_vs_bare", statistics.median(ours) / statistics.median(theirs), "x")
    report("steady_events_per_s", per_s, "1/s")
    return report("steady_lag_p99", percentile(lags, 0.99), "s", at_most=1)


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=300.0)
    options, _ = parser.parse_known_args()
    good = asyncio.run(measure(options.events, options.rounds, options.seconds))
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
