"""What the health service reads from its environment."""

from __future__ import annotations

import msgspec

from shared.keys.vault import key_faults
from shared.readmodel.url import database_faults


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`database_url`: the read model, by a role that only reads; `encryption_key`: Fernet keys,
    newest first, that open the servers' secrets for probes."""

    database_url: str
    encryption_key: str

    def __repr__(self) -> str:
        return "Settings(***)"

    def faults(self) -> list[str]:
        """See `shared.settings.Checked`."""
        return [*database_faults(self.database_url), *key_faults(self.encryption_key)]
