"""Hears every fact of Holdfast, each at least once: an example for systems outside.

`holdfast subscriber add NAME -o json > subscriber.json`, then
`python subscriber.py subscriber.json`.
It needs nats-py and nothing of Holdfast. Stop it and start it again: it goes on where it was.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import nats
from nats.errors import TimeoutError as NothingYet
from nats.js.errors import ServiceUnavailableError


async def main(login: dict[str, str]) -> None:
    client = await nats.connect(login["nats_url"], user=login["user"], password=login["password"])
    stream = client.jetstream(prefix=login["api_prefix"])
    reading = await stream.pull_subscribe_bind(login["durable"], stream=login["stream"])
    while True:
        try:
            messages = await reading.fetch(50, timeout=5)
        except NothingYet:
            continue
        except ServiceUnavailableError:  # the platform is starting again
            await asyncio.sleep(1)
            continue
        for message in messages:
            # The id is the same each time a fact is delivered: keep it to tell a repetition.
            headers = message.headers or {}
            print(headers.get("ce-id"), message.subject, message.data.decode(), flush=True)
            await message.ack()


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
