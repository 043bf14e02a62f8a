"""Retention: expires the backups that their policy no longer keeps."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

from services.retention.history import History, Scope, Shelf
from services.retention.policy import outlived
from shared.bus import Bus, Delivery, Expect, WrongSequenceError
from shared.bus.base import EVENTS
from shared.messages.base import consequence
from shared.messages.facts import BackupCompleted, BackupExpired, BackupVerified
from shared.messages.settings import DatabaseSetting, PolicySetting
from shared.messages.wire import AnyMessage

DURABLE = "retention"
FILTERS = (
    "evt.backup.completed.*.>",
    "evt.backup.verified.*.>",
    "cfg.policy.>",
    "cfg.database.>",
)


class Retention:
    """Judges a database's backups whenever one is finished or proven, or its policy changes."""

    def __init__(self, bus: Bus, history: History) -> None:
        self._bus, self._history = bus, history

    async def listen(self) -> None:
        """Judge everything once, then whatever a fact or setting touches, for ever."""
        await self.expire(Scope(), cause=None)
        await self._bus.work(DURABLE, EVENTS, FILTERS, self.on_event)

    async def on_event(self, delivery: Delivery) -> None:
        """Judge what the event touches, on the state that includes it."""
        message = delivery.message
        scope = touched(message)
        if scope is not None:
            await self._history.at_least(delivery.seq)
            await self.expire(scope, cause=message.id)

    async def expire(self, scope: Scope, *, cause: UUID | None) -> None:
        """Say of each outlived backup, once, that it expired."""
        for shelf in await self._history.shelves(scope):
            for backup in outlived(shelf.candidates, shelf.keep_last):
                await self._say_expired(backup.id, shelf, cause)

    async def _say_expired(self, backup_id: UUID, shelf: Shelf, cause: UUID | None) -> None:
        fact = BackupExpired(
            # Of the backup, not of the cause: several causes find the same backup outlived.
            id=consequence(backup_id, "expired"),
            actor="service:retention",
            caused_by=cause,
            backup_id=backup_id,
            reason=f"policy {shelf.policy}: the newest {shelf.keep_last} good backups are kept",
        )
        with suppress(WrongSequenceError):  # said already, after the state we decided on
            await self._bus.append(fact, expect=Expect(0))


def touched(message: AnyMessage) -> Scope | None:
    """Which databases' backups may be outlived because of `message`."""
    match message:
        case BackupCompleted() | BackupVerified():
            return Scope(backup_id=message.backup_id)
        case PolicySetting():
            return Scope(policy_id=message.key)
        case DatabaseSetting():
            return Scope(database_id=UUID(message.key))
        case _:
            return None
