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
    Within `scrub_cycle_s` every archive of a store is read again, at most `scrub_bytes_per_s`
    (0: as fast as it goes). `allow_loopback`: whether stores may be on this very machine.
    """

    database_url: str
    encryption_key: str
    look_every_s: float = 60.0
    second_look_s: float = 3600.0
    scan_every_s: float = 86400.0
    scrub_cycle_s: float = 7 * 86400.0
    scrub_bytes_per_s: float = 32 * 1024.0 * 1024.0
    allow_loopback: bool = False

    def faults(self) -> list[str]:
        """See `shared.settings.Checked`."""
        return [*database_faults(self.database_url), *key_faults(self.encryption_key)]
