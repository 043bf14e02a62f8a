"""Channels, rules and deliveries of notifications."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from services.cli.client import connected
from services.cli.commands.servers import Secrets
from services.cli.commands.templates import TEMPLATES
from services.cli.errors import FAILED, OK
from services.cli.output import Output, note, show, show_one
from services.cli.plugins import config_of

CHANNELS, RULES = "/notifications/channels", "/notifications/rules"
DELIVERIES = "/notifications/deliveries"
Settings = Annotated[
    tuple[str, ...],
    Parameter(name="--set", negative="", help="A setting of the channel, as host=mail.example.com"),
]
Facts = Annotated[
    tuple[str, ...],
    Parameter(name="--fact", negative="", help="A fact's type, as backup.failed, or backup.*"),
]
Severity = Literal["info", "warning", "error", "critical"]


async def add_channel(
    name: str,
    *,
    kind: str = "webhook",
    settings: Settings = (),
    secrets: Secrets = (),
    output: Output = None,
) -> None:
    """Register a channel: holdfast channel add team --kind slack --secret url=./url"""
    async with connected() as client:
        config = await config_of(client, "channel", kind, settings, secrets)
        show_one(await client.post(CHANNELS, {"name": name, "channel": config}), output)


async def list_channels(*, output: Output = None) -> None:
    """List the channels."""
    columns = ("id", "name", "channel", "enabled", "disabled_at", "version")
    async with connected() as client:
        show(await client.every(CHANNELS), columns, output)


async def try_channel(name: str, *, output: Output = None) -> int:
    """Send a test note; exit code 1 when the receiver does not take it."""
    async with connected() as client:
        channel = await client.named(CHANNELS, name)
        said: dict[str, Any] = await client.post(f"{CHANNELS}/{channel['id']}/test")
    show_one(said, output)
    return OK if said.get("ok", True) else FAILED


async def remove_channel(name: str) -> None:
    """Delete a channel that no rule names."""
    await _remove(CHANNELS, name)


async def add_rule(  # noqa: PLR0913 - an argument per option
    name: str,
    *,
    channel: str,
    facts: Facts,
    min_severity: Severity = "info",
    environment: tuple[str, ...] = (),
    tag: tuple[str, ...] = (),
    group: tuple[str, ...] = (),
    template: str | None = None,
    output: Output = None,
) -> None:
    """Make a channel hear some facts: holdfast rule add bad --channel team --fact 'backup.*'"""
    async with connected() as client:
        found = await client.named(CHANNELS, channel)
        body: dict[str, Any] = {
            "name": name,
            "channel_id": found["id"],
            "facts": [*facts],
            "min_severity": min_severity,
            "environments": [*environment],
            "tags": [*tag],
            "group_ids": [(await client.named("/server-groups", one))["id"] for one in group],
        }
        if template is not None:
            body["template_id"] = (await client.named(TEMPLATES, template))["id"]
        show_one(await client.post(RULES, body), output)


async def list_rules(*, output: Output = None) -> None:
    """List the rules."""
    columns = ("id", "name", "channel_id", "facts", "min_severity", "enabled", "version")
    async with connected() as client:
        show(await client.every(RULES), columns, output)


async def remove_rule(name: str) -> None:
    """Delete a rule: its channel hears these facts no longer."""
    await _remove(RULES, name)


async def list_deliveries(
    *,
    status: Literal["requested", "sent", "failed"] | None = None,
    limit: int = 50,
    output: Output = None,
) -> None:
    """List deliveries, the newest first."""
    columns = ("id", "at", "channel_id", "fact_type", "purpose", "status", "tries")
    query = {"status": status} if status else {}
    async with connected() as client:
        show(await client.every(DELIVERIES, limit=limit, **query), columns, output)


async def redeliver(delivery_id: str, *, output: Output = None) -> None:
    """Tell again what a delivery told."""
    async with connected() as client:
        show_one(await client.post(f"{DELIVERIES}/{delivery_id}/redeliver"), output)


async def _remove(path: str, name: str) -> None:
    async with connected() as client:
        found = await client.named(path, name)
        await client.delete(f"{path}/{found['id']}", version=found["version"])
    note("It is gone.")


def register(app: App) -> None:
    """Add the commands of this file."""
    channels = App(name="channel", help="Where notifications go.")
    channels.command(add_channel, name="add")
    channels.command(list_channels, name="list")
    channels.command(try_channel, name="test")
    channels.command(remove_channel, name="remove")
    rules = App(name="rule", help="Who hears what.")
    rules.command(add_rule, name="add")
    rules.command(list_rules, name="list")
    rules.command(remove_rule, name="remove")
    deliveries = App(name="delivery", help="What was sent.")
    deliveries.command(list_deliveries, name="list")
    deliveries.command(redeliver)
    for noun in (channels, rules, deliveries):
        app.command(noun)
