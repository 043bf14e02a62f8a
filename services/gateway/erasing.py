"""Erasing the keys of secrets that a setting no longer holds, so that no copy of them opens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Row

from services.gateway.appending import Landed, land
from services.gateway.dependencies import Dependencies
from shared.bus import Draft
from shared.keys.plugins import keys_of
from shared.messages.base import consequence
from shared.messages.facts import KeyErased
from shared.messages.settings import AnySetting


async def land_over(
    deps: Dependencies, row: Row[Any], setting: AnySetting, drafts: Sequence[Draft], reason: str
) -> Landed:
    """Append `drafts`, among them `setting` over what `row` shows, and erase what it leaves behind.

    The facts of the erasure land with the setting, or nothing does; the auditor makes sure that
    the keys are gone even if this process ends here.
    """
    erased = sorted(_keys_in(row) - {*keys_of(msgspec.to_builtins(setting))})
    facts = [
        KeyErased(
            id=consequence(setting.id, key),
            caused_by=setting.id,
            request_id=setting.request_id,
            actor=setting.actor,
            key_id=key,
            reason=reason,
        )
        for key in erased
    ]
    landed = await land(deps, *map(Draft, facts), *drafts)  # a setting's version is the last
    for key in erased:
        await deps.vault.erase(key)
    return landed


def _keys_in(row: Row[Any]) -> set[str]:
    """The keys of single secrets in a row; a person's key outlives any setting."""
    return {key for key in keys_of([*row]) if key.startswith("secret-")}
