"""The settings of stores."""

from __future__ import annotations

from shared.keys.sealed import Sealed
from shared.messages.base import Setting
from shared.messages.values import Pace, PluginConfig


class StoreSetting(Setting, frozen=True, kw_only=True):
    """A place where archives live.

    What has been here for `move_after_days` moves to the store `move_to_store_id`. New archives
    are sealed to the `passphrase`, too. At most `run_limit` backups and restores use it at once (0:
    any number), and each process sends and fetches so many bytes a second at most.
    """

    name: str
    tier: str = "hot"
    region: str = ""
    quota_bytes: int | None = None
    move_after_days: int | None = None
    move_to_store_id: str | None = None
    run_limit: int = 0
    upload_bytes_s: int | None = None
    download_bytes_s: int | None = None
    passphrase: Sealed | None = None
    store: PluginConfig

    @property
    def pace(self) -> Pace | None:
        """None where the store may be used as fast as it goes."""
        up, down = self.upload_bytes_s, self.download_bytes_s
        if up is None and down is None:
            return None
        return Pace(store_id=self.key, upload_bytes_s=up, download_bytes_s=down)
