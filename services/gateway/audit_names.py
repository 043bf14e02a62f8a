"""The names of what audit entries are about, and of the API keys that did it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from services.gateway.audit_entries import AuditEntry
from services.gateway.audit_search import ActorCount
from services.gateway.dependencies import Dependencies
from services.gateway.thing_names import names_of


async def with_names(deps: Dependencies, entries: list[AuditEntry]) -> list[AuditEntry]:
    """The entries with the names of what they are about, and of the keys that acted."""
    actors = {_key(entry.actor) for entry in entries}
    names = await names_of(deps, {entry.object for entry in entries} | actors)
    return [
        msgspec.structs.replace(
            entry,
            object_name=names.get(entry.object, ""),
            actor_name=names.get(_key(entry.actor), ""),
        )
        for entry in entries
    ]


async def with_key_names(deps: Dependencies, actors: Iterable[ActorCount]) -> list[ActorCount]:
    """Counted actors, API keys among them with their names."""
    counted = [*actors]
    names = await names_of(deps, {_key(one.value) for one in counted})
    return [msgspec.structs.replace(it, name=names.get(_key(it.value), "")) for it in counted]


def _key(actor: str) -> str:
    """What the actor is called as an API key; it may be a person, or a service."""
    return f"api_key/{actor}"
