"""Durations as people write them."""

from __future__ import annotations

import re

from services.cli.errors import BadArgumentError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_FORM = re.compile(r"([0-9]{1,9})([smhdw])")


def seconds_of(text: str) -> int:
    """`90m` -> 5400; raises BadArgumentError."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise BadArgumentError(
            f"{text!r} is no duration", fix="write a number and s, m, h, d or w, as 24h"
        )
    return int(found[1]) * _UNITS[found[2]]
