"""Facts about channels, and about deliveries of notifications."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from shared.messages.base import Fact
from shared.messages.values import (
    Problem,
)


class NotificationFact(Fact, frozen=True, kw_only=True):
    """About one delivery to one channel.

    `purpose`: `fact` tells one fact; `recovered` tells that a problem is over; `digest` tells
    `facts` of them at once and has no fact of its own; `test` was asked for; `redelivery` tells
    again what an earlier delivery told.
    """

    KEYED_BY: ClassVar[str] = "notification_id"
    notification_id: UUID
    channel_id: str
    fact_id: UUID
    fact_type: str
    purpose: str = "fact"
    facts: int = 1


class NotificationSent(NotificationFact, frozen=True, kw_only=True):
    """The receiver accepted it."""

    tries: int


class NotificationFailed(NotificationFact, frozen=True, kw_only=True):
    """Given up after `tries`."""

    tries: int
    problem: Problem


class ChannelFact(Fact, frozen=True, kw_only=True):
    """About one channel."""

    KEYED_BY: ClassVar[str] = "channel_id"
    channel_id: str


class ChannelTestRequested(ChannelFact, frozen=True, kw_only=True):
    """Somebody wants a test note sent; its delivery is `notification_id`."""

    notification_id: UUID


class ChannelDisabled(ChannelFact, frozen=True, kw_only=True):
    """The receiver wants no more notes: the setting of `version` is not used until it changes."""

    version: int
    problem: Problem


class RedeliveryRequested(Fact, frozen=True, kw_only=True):
    """Somebody wants told again what the delivery `notification_id` told: a delivery of its own."""

    KEYED_BY: ClassVar[str] = "redelivery_id"
    redelivery_id: UUID
    notification_id: UUID
    channel_id: str
    fact_id: UUID
    fact_type: str
