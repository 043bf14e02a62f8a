"""Deliveries of notifications, and channels whose receivers want no more of them."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from services.auditor.projection.change import Change, Projections, Row, create, new_row
from shared.messages.facts import (
    ChannelDisabled,
    ChannelTestRequested,
    NotificationFailed,
    NotificationSent,
    RedeliveryRequested,
)
from shared.readmodel.tables import notification_channels, notifications


def sent(event: NotificationSent, seq: int) -> Iterator[Change]:
    return _ended(event, seq, {"status": "sent", "problem": None})


def failed(event: NotificationFailed, seq: int) -> Iterator[Change]:
    return _ended(event, seq, {"status": "failed", "problem": event.problem})


def _ended(
    event: NotificationSent | NotificationFailed, seq: int, outcome: Row
) -> Iterator[Change]:
    values = {
        "channel_id": event.channel_id,
        "fact_id": event.fact_id,
        "fact_type": event.fact_type,
        "tries": event.tries,
        "purpose": event.purpose,
        "facts": event.facts,
        "at": event.at,
        "version": seq,
    }
    first = new_row(notifications, id=event.notification_id)

    def replace(old: Row | None) -> Row:
        return (old or first) | values | outcome

    yield Change(notifications, (event.notification_id,), replace)


def test_requested(event: ChannelTestRequested, seq: int) -> Iterator[Change]:
    asked = {"fact_id": event.id, "fact_type": event.type, "purpose": "test"}
    yield _requested(event.notification_id, event.channel_id, seq, asked | {"at": event.at})


def redelivery_requested(event: RedeliveryRequested, seq: int) -> Iterator[Change]:
    asked = {
        "fact_id": event.fact_id,
        "fact_type": event.fact_type,
        "purpose": "redelivery",
        "redelivery_of": event.notification_id,
        "at": event.at,
    }
    yield _requested(event.redelivery_id, event.channel_id, seq, asked)


def _requested(delivery: UUID, channel_id: str, seq: int, asked: Row) -> Change:
    row = new_row(
        notifications,
        id=delivery,
        channel_id=channel_id,
        status="requested",
        tries=0,
        facts=1,
        version=seq,
    )
    return Change(notifications, (delivery,), create(row | asked))


def disabled(event: ChannelDisabled, _seq: int) -> Iterator[Change]:
    """Only what the receiver answered to: a setting that changed meanwhile may reach another."""

    def fold(old: Row | None) -> Row | None:
        if old is None or old["version"] != event.version:
            return old
        return old | {"disabled_at": event.at, "disabled_problem": event.problem}

    yield Change(notification_channels, (event.channel_id,), fold)


PROJECTIONS: Projections = {
    NotificationSent: sent,
    NotificationFailed: failed,
    ChannelTestRequested: test_requested,
    RedeliveryRequested: redelivery_requested,
    ChannelDisabled: disabled,
}
