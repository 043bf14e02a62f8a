"""What the retention service reads from its environment."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from shared.readmodel.url import database_faults


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`database_url`: the read model, by a role that only reads. `undo_window_s`: how long what
    expired can be taken back, before it is deleted."""

    database_url: str
    undo_window_s: Annotated[float, Meta(ge=0, le=31 * 86_400)] = 86_400.0

    def faults(self) -> list[str]:
        """See `shared.settings.Checked`."""
        return database_faults(self.database_url)
