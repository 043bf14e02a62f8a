"""What the retention service reads from its environment."""

from __future__ import annotations

import msgspec

from shared.readmodel.url import database_faults


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`database_url`: the read model, by a role that only reads."""

    database_url: str

    def faults(self) -> list[str]:
        """See `shared.settings.Checked`."""
        return database_faults(self.database_url)
