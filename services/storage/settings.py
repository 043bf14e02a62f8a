"""What the storage service reads from its environment."""

from __future__ import annotations

import msgspec

from shared.keys.vault import key_faults
from shared.readmodel.url import database_faults


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`database_url`: the read model, by a role that only reads. `encryption_key`: opens the
    stores' credentials, newest first, divided by commas.

    Every `look_every_s` each store's work is looked for, in case a fact was missed. Garbage is
    looked for again `second_look_s` after its run ended, for late writers. Every `scan_every_s`
    (and at start) a store is listed and compared with the log, and what read badly is read again.
    """

    database_url: str
    encryption_key: str
    look_every_s: float = 60.0
    second_look_s: float = 3600.0
    scan_every_s: float = 86400.0

    def faults(self) -> list[str]:
        """See `shared.settings.Checked`."""
        return [*database_faults(self.database_url), *key_faults(self.encryption_key)]
