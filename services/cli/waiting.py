"""Waiting for a run, with a progress bar that live events feed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from services.cli.client import Client, Told
from services.cli.errors import RunFailedError

ENDED = {"completed", "failed", "cancelled"}
LOOK_EVERY_S = 2.0
"""How often the run itself is looked at, whatever the events say."""


async def ended(client: Client, run_id: str) -> dict[str, Any]:
    """The run once it has ended; raises RunFailedError unless it completed."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    ) as progress:
        bar = progress.add_task("waiting", total=None)
        run = await _followed(client, run_id, progress, bar)
    if run["status"] != "completed":
        problem = run.get("problem") or {}
        cause = problem.get("cause", "")
        raise RunFailedError(
            f"the {run['kind']} {run['status']}" + (f": {cause}" if cause else ""),
            fix=problem.get("fix", ""),
        )
    return run


async def _followed(client: Client, run_id: str, progress: Progress, bar: Any) -> dict[str, Any]:
    async with aclosing(_moments(client, run_id)) as moments:
        async for event in moments:
            if event is not None and event.name == "output.progress":
                _advance(progress, bar, event.data["event"])
                continue
            run: dict[str, Any] = await client.get(f"/runs/{run_id}")
            if run["status"] in ENDED:
                return run
    raise AssertionError("live events never end by themselves")


async def _moments(client: Client, run_id: str) -> AsyncGenerator[Told | None, None]:
    """Every event of the run as it comes, and None now and then."""
    queue: asyncio.Queue[Told] = asyncio.Queue()

    async def listen() -> None:
        async for event in client.told(run=run_id):
            await queue.put(event)

    # If listening fails, looking at the run every now and then is enough.
    listening = asyncio.create_task(listen())
    try:
        while True:
            event = None
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    event = await queue.get()
            yield event
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def _advance(progress: Progress, bar: Any, said: dict[str, Any]) -> None:
    progress.update(
        bar,
        description=said.get("stage", ""),
        completed=said.get("raw_bytes", 0),
        total=said.get("total_bytes"),
    )
