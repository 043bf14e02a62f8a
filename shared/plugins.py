"""Plug-in schemas: announced by the owning service, read by the gateway, drawn by the UI."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from shared.bus import Bus

Schema: TypeAlias = dict[str, Any]

KINDS = ("engine", "runner", "store", "channel")


def schemas_of(union: Any) -> dict[str, Schema]:
    """Tag -> self-contained JSON schema of each plug-in of a union (or of the only one).

    Its title is the plug-in's `label`, for those whose class is not called as people write it.
    """
    members = getattr(union, "__args__", (union,))
    return {str(member.__struct_config__.tag): _schema(member) for member in members}


def _schema(member: Any) -> Schema:
    (reference,), parts = msgspec.json.schema_components([member], ref_template="#/$defs/{name}")
    name = reference["$ref"].rsplit("/", 1)[-1]
    top = dict(parts.pop(name)) | {"title": getattr(member, "label", name)}
    return {**top, "$defs": parts} if parts else top


async def announce(bus: Bus, kind: str, union: Any) -> None:
    """Put the schemas of `kind` (one of KINDS) into KV `schemas`, replacing older ones."""
    await bus.kv("schemas").put(kind, msgspec.json.encode(schemas_of(union)))


async def announced(bus: Bus, kind: str) -> dict[str, Schema]:
    """Tag -> schema of what is announced for `kind`; empty before its owner has started."""
    entry = await bus.kv("schemas").get(kind)
    return msgspec.json.decode(entry.value) if entry and entry.value else {}
