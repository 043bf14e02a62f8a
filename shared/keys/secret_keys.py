"""SECRET_KEY: one text, or after a rotation several, newest first.

`new,old@2026-11-26T08:00:00Z`: the old one was retired at that time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

_NEXT = re.compile(r",(?=[^,@]+@\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ(?:,|$))")
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class OneKey(msgspec.Struct, frozen=True):
    """A text, and since when it signs nothing new (None: it still does)."""

    text: str
    retired_at: datetime | None = None

    def __repr__(self) -> str:
        return f"OneKey(retired_at={self.retired_at})"

    def written(self) -> str:
        if self.retired_at is None:
            return self.text
        return f"{self.text}@{self.retired_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def secret_keys(text: str) -> list[OneKey]:
    """The keys in SECRET_KEY, newest first; what has no dates is one key, whatever it holds."""
    newest, *older = _NEXT.split(text.strip())
    return [OneKey(newest), *map(_retired, older)]


def succeeded(text: str, new: str, at: datetime) -> str:
    """SECRET_KEY with `new` in front, and the one before it retired at `at`."""
    newest, *older = secret_keys(text)
    keys = [OneKey(new), msgspec.structs.replace(newest, retired_at=at), *older]
    return ",".join(key.written() for key in keys)


def _retired(part: str) -> OneKey:
    text, _, at = part.rpartition("@")
    return OneKey(text, datetime.fromisoformat(at))
