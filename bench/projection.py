"""Events through append and projection, as a ratio to what the bare server stores.

    python -m bench.projection [--events 5000] [--rounds 3]

Both sides publish the same bytes with 256 in flight to a nats-server that syncs every write; ours
is timed from the first append until the last event is visible in Postgres.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import nats as nats_client
from uuid_utils.compat import uuid7

from bench.figures import report
from services.launcher.directory import DataDirectory
from services.launcher.installation import Installation
from services.launcher.up import running
from shared.bus import Bus
from shared.bus.connection import BusSettings
from shared.bus.jetstream import connect
from shared.messages.settings import PolicySetting
from shared.messages.wire import encode, headers
from shared.readmodel.reader import ReadModel, read_model
from tests.support.nats import nats_server

IN_FLIGHT = 256


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


def as_gateway(installation: Installation) -> BusSettings:
    """How the gateway reaches NATS."""
    return BusSettings(
        nats_url=installation.nats_url,
        nats_user="gateway",
        nats_password=installation.passwords.read("nats-gateway"),
    )


async def measure(count: int, rounds: int) -> bool:
    """Both sides in turn; the ratio of the medians has no bar yet, the issue asks to know it."""
    ours, theirs = [], []
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as name:
        async with running(DataDirectory(Path(name) / "home")) as platform:
            installation = platform.installation
            url = installation.database_url("reader").read_text()
            async with (
                connect(as_gateway(installation), source="bench") as bus,
                read_model(url) as model,
            ):
                with nats_server(Path(name) / "bare") as server:
                    for _ in range(rounds):
                        theirs.append(await bare(server.url, count))
                        ours.append(await projected(bus, model, count))
    report("bare_publish_per_s", statistics.median(theirs), "1/s")
    report("append_to_projection_per_s", statistics.median(ours), "1/s")
    return report("projection_vs_bare", statistics.median(ours) / statistics.median(theirs), "x")


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    options, _ = parser.parse_known_args()
    return 0 if asyncio.run(measure(options.events, options.rounds)) else 1


if __name__ == "__main__":
    raise SystemExit(main())
