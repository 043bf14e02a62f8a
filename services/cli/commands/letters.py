"""Dead letters, and search."""

from __future__ import annotations

from cyclopts import App

from services.cli.client import connected
from services.cli.output import Output, note, show, show_one

COLUMNS = ("seq", "at", "durable", "reason", "cause", "subject")


async def list_letters(
    *, durable: str | None = None, limit: int = 50, output: Output = None
) -> None:
    """List what handlers gave up and nobody retried yet."""
    query = {"durable": durable} if durable else {}
    async with connected() as client:
        show(await client.every("/dlq", limit=limit, **query), COLUMNS, output)


async def show_letter(seq: int, *, output: Output = None) -> None:
    """Show a dead letter with what it says."""
    async with connected() as client:
        found = await client.get(f"/dlq/{seq}")
        show_one({**found["letter"], "said": found["said"]}, output)


async def retry(seq: int) -> None:
    """Hand a dead letter to its handler once more."""
    async with connected() as client:
        await client.post(f"/dlq/{seq}/retry")
    note(f"Letter {seq} was handed over again.")


async def search(text: str, *, output: Output = None) -> None:
    """Find things of every kind by a part of their name, or by id."""
    async with connected() as client:
        found = await client.get("/search", q=text)
        show(found["items"], ("noun", "name", "id"), output)


def register(app: App) -> None:
    """Add the commands of this file."""
    dlq = App(name="dlq", help="What handlers gave up.")
    dlq.command(list_letters, name="list")
    dlq.command(show_letter, name="show")
    dlq.command(retry)
    app.command(dlq)
    app.command(search)
