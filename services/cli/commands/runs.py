"""Runs and live events."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from services.cli.client import Client, Told, connected
from services.cli.output import Output, format_of, note, show, show_one, size
from services.cli.waiting import ENDED

COLUMNS = ("id", "kind", "object_name", "status", "attempts", "pool", "requested_at", "ended_at")
Follow = Annotated[bool, Parameter(name=["--follow", "-f"], help="Go on until the run ends")]


async def list_runs(*, status: str | None = None, limit: int = 50, output: Output = None) -> None:
    """List runs, the newest first."""
    async with connected() as client:
        query = {"status": status} if status else {}
        show(await client.every("/runs", limit=limit, **query), COLUMNS, output)


async def show_run(run_id: str, *, output: Output = None) -> None:
    """Show one run."""
    async with connected() as client:
        show_one(await client.get(f"/runs/{run_id}"), output)


async def cancel(run_id: str) -> None:
    """Stop a run."""
    async with connected() as client:
        await client.post(f"/runs/{run_id}/cancel")
    note("The run will be cancelled.")


async def log(run_id: str, *, follow: Follow = False, output: Output = None) -> None:
    """Print a run's log."""
    async with connected() as client:
        async for line in client.read(f"/runs/{run_id}/log"):
            _print_output(msgspec.json.decode(line), output)
        if follow:
            await _follow(client, run_id, output)


async def _follow(client: Client, run_id: str, output: Output) -> None:
    if (await client.get(f"/runs/{run_id}"))["status"] in ENDED:
        return
    async for event in client.told(run=run_id):
        if event.name.startswith("output."):
            _print_output(event.data["event"], output)
        elif (await client.get(f"/runs/{run_id}"))["status"] in ENDED:
            return


async def tail(
    *,
    topics: Annotated[str, Parameter(help="Nouns, comma-separated: backup,run,log")] = "",
    run: Annotated[str, Parameter(help="Only this run, with its output")] = "",
    after: Annotated[str, Parameter(help="A cursor to go on from")] = "",
    output: Output = None,
) -> None:
    """Print what happens, as it happens."""
    wanted = {"topics": topics, "run": run, "after": after}
    async with connected() as client:
        async for event in client.told(**{name: it for name, it in wanted.items() if it}):
            _print_event(event, output)


def _print_event(event: Told, output: Output) -> None:
    if event.name in {"ready", "resync"}:
        return
    if format_of(output) == "json":
        line = {"cursor": event.cursor, **event.data}
        print(msgspec.json.encode(line).decode(), flush=True)
    else:
        body = event.data["event"]
        print(f"{body.get('at', '')}  {event.name:<24} {_safe(event.data['subject'])}", flush=True)


def _print_output(said: dict[str, Any], output: Output) -> None:
    if format_of(output) == "json":
        print(msgspec.json.encode(said).decode(), flush=True)
    elif said["type"] == "output.line":
        print(f"{said['at']}  {said['level']:<7} {_safe(said['text'])}", flush=True)
    else:
        read = size(said.get("raw_bytes", 0))
        print(f"{said['at']}  {said['stage']:<7} {read}", flush=True)


def _safe(text: str) -> str:
    """Text without control characters: a log line must not drive the terminal."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def register(app: App) -> None:
    """Add the commands of this file."""
    runs = App(name="run", help="What is worked on.")
    runs.command(list_runs, name="list")
    runs.command(show_run, name="show")
    runs.command(cancel)
    runs.command(log)
    events = App(name="events", help="Live events.")
    events.command(tail)
    app.command(runs)
    app.command(events)
