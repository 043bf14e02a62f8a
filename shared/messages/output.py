"""Output: what a run says while it runs; bounded in age and size, never part of the log."""

from __future__ import annotations

from typing import TypeAlias

from shared.messages.base import Output


class OutputLine(Output, frozen=True, kw_only=True):
    """One line of the run's log; `level` is debug, info, warning or error."""

    attempt: int
    level: str
    text: str


class OutputProgress(Output, frozen=True, kw_only=True):
    """How far the run is; at most four a second. `total_bytes` is an estimate, or unknown."""

    attempt: int
    stage: str
    raw_bytes: int = 0
    stored_bytes: int = 0
    total_bytes: int | None = None
    bytes_per_s: float = 0.0


AnyOutput: TypeAlias = OutputLine | OutputProgress
