"""Comparing a store with the log: which folders stand there that should not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeAlias
from uuid import UUID

import msgspec

from services.storage.garbage import Attempt, is_garbage
from shared.stores.base import Store
from shared.stores.marker import MARKERS

Folder: TypeAlias = tuple[UUID, int]

_ENVELOPE = re.compile(r"/envelope\.([1-9][0-9]{0,8})$", re.ASCII)


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """The attempts' folders that hold objects, those with several envelopes among them, and the
    objects that are in none."""

    folders: frozenset[Folder]
    strangers: int
    several: frozenset[Folder] = frozenset()


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """Garbage to delete; what is unknown is for a person to judge, never deleted."""

    garbage: list[Attempt]
    unknown: list[Folder]


async def listed(store: Store) -> Listing:
    """Every folder in the store; memory grows with the attempts there, not with their bytes."""
    folders: set[Folder] = set()
    sealed: set[Folder] = set()
    several: set[Folder] = set()
    strangers = 0
    async for info in store.list(""):
        folder = parsed(info.key)
        if folder is not None:
            folders.add(folder)
            if envelope_number(info.key):
                (several if folder in sealed else sealed).add(folder)
        elif not info.key.startswith(f"{MARKERS}/"):
            strangers += 1
    return Listing(folders=frozenset(folders), strangers=strangers, several=frozenset(several))


def envelope_number(key: str) -> int:
    """The number of the envelope that an object's key names; 0 for any other object."""
    match = _ENVELOPE.search(key)
    return int(match.group(1)) if match else 0


def parsed(key: str) -> Folder | None:
    """The attempt that an object's key belongs to: `<backup id>/<attempt>/<name>`."""
    backup_id, *rest = key.split("/")
    if len(rest) != 2 or not rest[0].isascii() or not rest[0].isdigit():
        return None
    try:
        folder = UUID(backup_id), int(rest[0])
    except ValueError:
        return None
    return folder if f"{folder[0]}/{folder[1]}/{rest[1]}" == key else None


def judged(folders: Iterable[Folder], attempts: Iterable[Attempt]) -> Findings:
    """What the log says of each folder."""
    known: Mapping[Folder, Attempt] = {(one.backup_id, one.number): one for one in attempts}
    found = sorted(folders)
    return Findings(
        garbage=[known[one] for one in found if one in known and is_garbage(known[one])],
        unknown=[one for one in found if one not in known],
    )
