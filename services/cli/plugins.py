"""Plug-in settings from arguments, typed by the schema that the gateway serves."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from services.cli.client import Client
from services.cli.errors import BadArgumentError
from services.cli.secrets_in import secret


async def config_of(
    client: Client, family: str, kind: str, settings: Sequence[str], secrets: Sequence[str]
) -> dict[str, Any]:
    """The settings of one plug-in.

    `settings` are `name=value`, `secrets` are `name=FILE` (`-` for stdin). On a terminal, required
    secrets that are missing are asked for.
    """
    schema = (await client.get("/plugins"))[family].get(kind)
    if schema is None:
        raise BadArgumentError(f"there is no {family} called {kind}", fix="see GET /plugins")
    parts: dict[str, Any] = schema["properties"]
    config: dict[str, Any] = {"kind": kind}
    for name, value in map(_pair, settings):
        part = _part(parts, kind, name)
        if part.get("writeOnly"):
            raise BadArgumentError(
                f"{name} is a secret", fix=f"use --secret {name}=FILE, or - for stdin"
            )
        config[name] = _typed(part, value)
    for name, path in map(_pair, secrets):
        _part(parts, kind, name)
        config[name] = secret(name, path)
    for name, part in parts.items():
        if part.get("writeOnly") and name not in config and _is_wanted(schema, name):
            config[name] = secret(name, None)
    return config


def _is_wanted(schema: dict[str, Any], name: str) -> bool:
    return name in schema.get("required", ()) and sys.stdin.isatty()


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise BadArgumentError(f"{text!r} is not name=value")
    return name, value


def _part(parts: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    if name not in parts or name == "kind":
        known = ", ".join(sorted(parts.keys() - {"kind"}))
        raise BadArgumentError(f"{kind} has no setting {name}", fix=f"it has {known}")
    part: dict[str, Any] = parts[name]
    return part


def _typed(part: dict[str, Any], value: str) -> Any:
    """The value as the schema's type: text stays text, the rest is read as JSON."""
    if part.get("type") == "string" or "enum" in part:
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value
