"""Facts about outside systems that hear what happens."""

from __future__ import annotations

from typing import ClassVar

from shared.messages.base import Fact, Key


class SubscriberFact(Fact, frozen=True, kw_only=True):
    """About one outside system."""

    KEYED_BY: ClassVar[str] = "subscriber"
    subscriber: Key


class SubscriberAdded(SubscriberFact, frozen=True, kw_only=True):
    """From now on it may hear every fact, and nothing else."""


class SubscriberRemoved(SubscriberFact, frozen=True, kw_only=True):
    """It can no longer sign in."""
