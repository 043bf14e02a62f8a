"""Facts about deliveries of notifications."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from shared.messages.base import Fact
from shared.messages.values import (
    Problem,
)


class NotificationFact(Fact, frozen=True, kw_only=True):
    """About one delivery of one fact to one channel."""

    KEYED_BY: ClassVar[str] = "notification_id"
    notification_id: UUID
    channel_id: str
    fact_id: UUID
    fact_type: str


class NotificationSent(NotificationFact, frozen=True, kw_only=True):
    """The receiver accepted it."""

    tries: int


class NotificationFailed(NotificationFact, frozen=True, kw_only=True):
    """Given up after `tries`."""

    tries: int
    problem: Problem
