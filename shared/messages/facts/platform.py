"""Facts about the platform itself: its services, its log."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from shared.messages.base import Fact, Key
from shared.messages.values import (
    Problem,
)


class ServiceFact(Fact, frozen=True, kw_only=True):
    """About one of the platform's own services."""

    KEYED_BY: ClassVar[str] = "service"
    service: Key


class ServiceWentDown(ServiceFact, frozen=True, kw_only=True):
    """No heartbeat of any replica for too long."""

    last_beat_at: datetime | None = None


class ServiceCameBack(ServiceFact, frozen=True, kw_only=True):
    """A service that was down beats again."""


class AuditFact(Fact, frozen=True, kw_only=True):
    """About the audit log as a thing that people take copies of."""

    KEYED_BY: ClassVar[str] = "export_id"
    export_id: UUID


class AuditExported(AuditFact, frozen=True, kw_only=True):
    """Somebody began to take a copy of the audit log."""

    format: str
    events: bool = False


class LetterFact(Fact, frozen=True, kw_only=True):
    """About one dead letter, by its number in the stream DLQ."""

    KEYED_BY: ClassVar[str] = "letter"
    letter: int


class LetterRetried(LetterFact, frozen=True, kw_only=True):
    """Somebody hands the letter to its durable once more."""

    durable: Key


class LogFact(Fact, frozen=True, kw_only=True):
    """About the event log itself."""

    KEYED_BY: ClassVar[str] = "incident_id"
    incident_id: UUID


class LogClockTurnedBack(LogFact, frozen=True, kw_only=True):
    """An event was stored earlier than one before it: somebody set the log's clock back.

    The order of the log holds all the same, and is signed; its times are not to be trusted from
    `at_seq` on.
    """

    at_seq: int
    before: datetime
    after: datetime


class LogRepaired(LogFact, frozen=True, kw_only=True):
    """The stream was damaged and has been re-created from event_log."""

    problem: Problem
    last_seq: int
    restored: int
    appended_after_fork: int
