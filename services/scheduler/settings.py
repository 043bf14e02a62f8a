"""What the scheduler reads from its environment."""

from __future__ import annotations

import msgspec

from shared.keys.vault import key_faults
from shared.readmodel.url import database_faults


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`encryption_key`: Fernet keys, newest first; `kek_file`: path of the key that opens archives;
    `pool_limit`: how many backups and restores a pool works on at once."""

    database_url: str
    encryption_key: str
    kek_file: str
    pool_limit: int = 4

    def __repr__(self) -> str:
        return f"Settings(pool_limit={self.pool_limit})"

    def faults(self) -> list[str]:
        """See `shared.settings.Checked`."""
        return [*database_faults(self.database_url), *key_faults(self.encryption_key)]
