"""Canonical JSON (RFC 8785) for the values that leaves are made of: strings and integers."""

from __future__ import annotations

import json
from collections.abc import Mapping

LARGEST_INTEGER = 2**53 - 1


def canonical(value: Mapping[str, str | int]) -> bytes:
    """The one text of `value`; raises ValueError for what RFC 8785 cannot write exactly.

    The keys must be ASCII, so that their order by bytes is the order by UTF-16 units.
    """
    for key, part in value.items():
        if not key.isascii():
            raise ValueError(f"not a key of a leaf: {key!r}")
        if isinstance(part, int) and not -LARGEST_INTEGER <= part <= LARGEST_INTEGER:
            raise ValueError(f"{key} is larger than JSON keeps exactly")
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode()
