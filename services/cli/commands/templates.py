"""Templates: the words of notes."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from cyclopts import App
from cyclopts.types import ExistingFile

from services.cli.client import connected
from services.cli.output import Output, note, show, show_one

TEMPLATES = "/notifications/templates"


async def add_template(
    name: str, file: ExistingFile, *, kind: str, title: str = "", output: Output = None
) -> None:
    """Keep the words of a Jinja2 file: holdfast template add short ./short.j2 --kind slack"""
    words = await asyncio.to_thread(file.read_text)
    async with connected() as client:
        body = {"name": name, "channel_kind": kind, "title": title, "body": words}
        show_one(await client.post(TEMPLATES, body), output)


async def try_template(
    file: ExistingFile,
    *,
    title: str = "",
    of: Literal["fact", "recovered", "digest"] = "fact",
    output: Output = None,
) -> None:
    """Show what a Jinja2 file makes of an example."""
    words = await asyncio.to_thread(file.read_text)
    async with connected() as client:
        body = {"title": title, "body": words, "of": of}
        said: dict[str, Any] = await client.post(f"{TEMPLATES}/preview", body)
    show_one(said, output)


async def list_templates(*, output: Output = None) -> None:
    """List the templates."""
    columns = ("id", "name", "channel_kind", "title", "version")
    async with connected() as client:
        show(await client.every(TEMPLATES), columns, output)


async def remove_template(name: str) -> None:
    """Delete a template that no rule uses."""
    async with connected() as client:
        found = await client.named(TEMPLATES, name)
        await client.delete(f"{TEMPLATES}/{found['id']}", version=found["version"])
    note("It is gone.")


def register(app: App) -> None:
    """Add the commands of this file."""
    templates = App(name="template", help="The words of notes.")
    templates.command(add_template, name="add")
    templates.command(try_template, name="preview")
    templates.command(list_templates, name="list")
    templates.command(remove_template, name="remove")
    app.command(templates)
