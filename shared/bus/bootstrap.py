"""Streams and buckets: made, or brought to what the data under `nats/` says."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from shared.bus import layout
from shared.bus.api import NANOSECONDS, ApiError, ask_api
from shared.bus.base import EVENTS
from shared.bus.connection import BusSettings, Connection
from shared.bus.link import Link
from shared.settings import ConfigurationError, load

EXISTS_DIFFERENTLY = 10058
MARKS_LIVE_S = 60
"""How long the mark of an expired key stays, so that watchers learn of the expiry."""


async def bootstrap(settings: BusSettings, *, replicas: int = 1) -> None:
    """Make what is missing; change what differs, but never EVENTS. Safe to repeat.

    `replicas` is 1 on one machine, 3 on a cluster. Raises ConfigurationError when EVENTS stands
    with another configuration: nobody may update it.
    """
    connection = Connection(settings, "bootstrap")
    async with connection.kept():
        link = await connection.link()
        for stream in [*layout.streams(), *map(bucket_stream, layout.buckets())]:
            await make(link, {**stream, "num_replicas": replicas})


async def make(link: Link, stream: dict[str, Any]) -> None:
    """Create one stream, or change it to `stream`."""
    name = stream["name"]
    try:
        await ask_api(link, f"STREAM.CREATE.{name}", stream)
    except ApiError as error:
        if error.number != EXISTS_DIFFERENTLY:
            raise
        if name == EVENTS:
            raise ConfigurationError(f"{EVENTS} exists with another configuration") from error
        await ask_api(link, f"STREAM.UPDATE.{name}", stream)


def bucket_stream(bucket: layout.Bucket) -> dict[str, Any]:
    """The stream behind a bucket: the last message of each key is its value."""
    return {
        "name": f"KV_{bucket.name}",
        "description": bucket.description,
        "subjects": [f"$KV.{bucket.name}.>"],
        "storage": "file",
        "retention": "limits",
        "discard": "new",
        "compression": "none",
        "max_msgs_per_subject": 1,
        "max_age": int((bucket.ttl_s or 0) * NANOSECONDS),
        "duplicate_window": 120 * NANOSECONDS,
        "allow_msg_ttl": True,
        "subject_delete_marker_ttl": MARKS_LIVE_S * NANOSECONDS,
        "allow_rollup_hdrs": True,
        "deny_delete": True,
        "allow_direct": True,
    }


if __name__ == "__main__":
    asyncio.run(
        bootstrap(load(BusSettings, os.environ), replicas=int(os.environ.get("REPLICAS", "1")))
    )
