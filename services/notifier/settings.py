"""What the notifier reads from its environment."""

from __future__ import annotations

import msgspec

from shared.keys.vault import key_faults
from shared.readmodel.url import database_faults


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`database_url`: the read model, by a role that only reads. `encryption_key`: opens the
    channels' secrets, newest first, divided by commas.

    `notifier_allow_loopback`: everything runs on one machine, so a receiver may be there too.
    """

    database_url: str
    encryption_key: str
    notifier_allow_loopback: bool = False

    def faults(self) -> list[str]:
        """See `shared.settings.Checked`."""
        return [*database_faults(self.database_url), *key_faults(self.encryption_key)]
