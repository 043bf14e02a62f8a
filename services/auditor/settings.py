"""What the auditor is told by its environment."""

from __future__ import annotations

import msgspec

from shared.readmodel.url import database_faults


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`database_url` is the writing role's; `audit_key_file` holds the platform's signing key."""

    database_url: str
    audit_key_file: str
    reader_role: str = "holdfast_reader"
    check_every_s: float = 60.0
    scrub_every_s: float = 86_400.0
    checkpoint_every_s: float = 60.0

    def __repr__(self) -> str:
        return "Settings(***)"

    def faults(self) -> list[str]:
        """See `shared.settings.Checked`."""
        return database_faults(self.database_url)
