"""Appending to the log, and waiting a moment until the change can be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Row, Select

from services.gateway.dependencies import Dependencies
from shared.bus import Appended, Draft
from shared.errors import UnavailableError

VISIBLE_WITHIN_S = 2.0


class Landed(msgspec.Struct, frozen=True, kw_only=True):
    """Where a change landed. `visible`: reads show it; else it is stored and will be shown.

    `already`: an earlier try of the same request had stored it.
    """

    seq: int
    visible: bool
    already: bool = False


async def land(deps: Dependencies, *drafts: Draft) -> Landed:
    """Append all drafts or none. Once they are stored nothing here fails any more."""
    appended = await _append(deps, drafts)
    await deps.point("gateway-appended")
    return Landed(
        seq=appended.seq, already=appended.already, visible=await visible(deps, appended.seq)
    )


async def visible(deps: Dependencies, seq: int) -> bool:
    """Whether the projection passes `seq` within VISIBLE_WITHIN_S; a dead one is just late."""
    try:
        await deps.read_model.at_least(seq, within_s=VISIBLE_WITHIN_S)
    except UnavailableError:
        return False
    return True


async def seen(deps: Dependencies, query: Select[Any]) -> Row[Any] | None:
    """A row read after an append: None when it is not there, or cannot be read just now."""
    try:
        return await deps.read_model.one(query)
    except UnavailableError:
        return None


async def _append(deps: Dependencies, drafts: Sequence[Draft]) -> Appended:
    if len(drafts) == 1:
        return await deps.bus.append(drafts[0].message, expect=drafts[0].expect)
    return await deps.bus.append_all(drafts)
