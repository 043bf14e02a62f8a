"""CSV (RFC 4180) that a spreadsheet shows and never computes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes spreadsheets take a cell for a formula, in full width too."""


def csv_line(cells: Sequence[Any]) -> bytes:
    """One record. A text that would be a formula gets an apostrophe before it."""
    return ",".join(_cell(cell) for cell in cells).encode() + b"\r\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, int | float):
        return str(value)
    text = str(value)
    if text.lstrip(" ").startswith(_FORMULA):
        text = f"'{text}"
    return '"' + text.replace('"', '""').replace("\0", "") + '"'
