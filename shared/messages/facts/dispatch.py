"""Facts about the dispatch of runs as a whole."""

from __future__ import annotations

from typing import ClassVar

from shared.messages.base import Fact, Key

EVERYWHERE = "all"


class DispatchFact(Fact, frozen=True, kw_only=True):
    """About the dispatch of runs. `of`: which runs; so far all of them, in every pool."""

    KEYED_BY: ClassVar[str] = "of"
    of: Key = EVERYWHERE


class DispatchPaused(DispatchFact, frozen=True, kw_only=True):
    """From now on no backup, restore or command begins; what is under way goes on.

    Whoever pauses again gives another reason.
    """

    reason: str


class DispatchResumed(DispatchFact, frozen=True, kw_only=True):
    """What waited may begin again."""

    reason: str = ""
