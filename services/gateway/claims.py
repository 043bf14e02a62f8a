"""Unique names: a claim per noun and name, written in the batch of what bears the name."""

from __future__ import annotations

from hashlib import sha256
from typing import TypeAlias

from sqlalchemy import select

from services.gateway.dependencies import Dependencies
from services.gateway.errors import NameTakenError
from shared.bus import Draft, Expect
from shared.messages.base import consequence
from shared.messages.settings import AnySetting, ClaimSetting, SettingRemoved
from shared.readmodel.tables import claims


def claim_key(noun: str, name: str) -> str:
    """The key of the claim that holds `name` among the things of `noun`."""
    return sha256(f"{noun}\0{name}".encode()).hexdigest()


Held: TypeAlias = tuple[str | None, int]
"""Who holds a claim, if anybody, and the sequence of the last message about it."""


async def taking(
    deps: Dependencies,
    key: str,
    cause: AnySetting,
    *,
    purpose: str = "claim",
    looked: Held | None = None,
) -> Draft:
    """The draft that takes a claim for `cause`; raises NameTakenError when another holds it.

    It expects what was seen, now or when somebody `looked`, so of two who take the same name at
    once, one batch fails. `purpose` tells apart the claims of one setting.
    """
    held, seq = looked or await holder(deps, key)
    if held not in {None, cause.key}:
        raise NameTakenError(f"another {cause.noun} has this name already")
    claim = ClaimSetting(
        id=consequence(cause.id, purpose),
        key=key,
        noun=cause.noun,
        holder=cause.key,
        actor=cause.actor,
        caused_by=cause.id,
        request_id=cause.request_id,
    )
    return Draft(claim, Expect(seq))


async def freeing(deps: Dependencies, key: str, cause: AnySetting) -> Draft:
    """The draft that gives a claim back."""
    _, seq = await holder(deps, key)
    freed = SettingRemoved(
        id=consequence(cause.id, "free"),
        key=key,
        of="claim",
        actor=cause.actor,
        caused_by=cause.id,
        request_id=cause.request_id,
    )
    return Draft(freed, Expect(seq))


async def remembered(deps: Dependencies, key: str) -> Held:
    """How a claim stands in the read model, which is cheaper to ask, and may be behind: what is
    written by it fails then. It forgets when a free name was last written about."""
    row = await deps.read_model.one(
        select(claims.c.holder, claims.c.version).where(claims.c.id == key)
    )
    return (row.holder, row.version) if row else (None, 0)


async def holder(deps: Dependencies, key: str) -> Held:
    """How a claim stands in the log."""
    last = await deps.bus.last_of(f"cfg.claim.{key}")
    if not last:
        return None, 0
    message = last[-1].message
    return (message.holder if isinstance(message, ClaimSetting) else None), last[-1].seq
