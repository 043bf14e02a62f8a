"""What the scheduler reads from its environment."""

from __future__ import annotations

import msgspec

from shared.keys.vault import key_faults
from shared.readmodel.url import database_faults


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`encryption_key`: Fernet keys, newest first; `kek_file`: path of the keys that open archives;
    `pool_limit`: how many backups and restores a pool works on at once; `allow_loopback`: whether
    stores may be on this very machine. Every backup is read with its keys, as a restore would read
    it, every `deep_verify_every_s`, the oldest first (0: never)."""

    database_url: str
    encryption_key: str
    kek_file: str
    pool_limit: int = 4
    allow_loopback: bool = False
    deep_verify_every_s: float = 30 * 86400.0

    def __repr__(self) -> str:
        return f"Settings(pool_limit={self.pool_limit})"

    def faults(self) -> list[str]:
        """See `shared.settings.Checked`."""
        return [*database_faults(self.database_url), *key_faults(self.encryption_key)]
