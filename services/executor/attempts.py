"""What to do about an order, decided from what the log says of its backup or restore."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypeAlias

import msgspec

from shared.messages.base import Message
from shared.messages.facts import BackupAttempted, RestoreAttempted
from shared.messages.values import Problem

_ENDINGS = {"completed", "failed", "cancelled"}

EXHAUSTED = Problem(
    code="run.attempts_exhausted",
    cause="every attempt ended without a word: its worker was killed or lost its connection",
    fix="look for the out-of-memory killer on the executor's host, then run it again",
)
EXPIRED = Problem(
    code="run.expired",
    cause="no worker took the run in time",
    fix="check that an executor of the pool is running, then run it again",
)
LOST = Problem(
    code="run.expired",
    cause="the run's worker was lost, and no other one took it over in time",
    fix="see the executor's log for why it ended, then run it again",
)


class History(msgspec.Struct, frozen=True):
    """What the log says: the last sequence of the aggregate, attempts so far, whether it ended."""

    last_seq: int = 0
    attempts: int = 0
    ended: bool = False


class Leave(msgspec.Struct, frozen=True):
    """It is over: nothing is to be done."""


class Cancel(msgspec.Struct, frozen=True):
    """Somebody wants it stopped: say that it is."""


class Fail(msgspec.Struct, frozen=True):
    """It cannot be done any more: say why."""

    problem: Problem


class Attempt(msgspec.Struct, frozen=True):
    """Try; the first attempt is number 1."""

    number: int


Decision: TypeAlias = Leave | Cancel | Fail | Attempt


def history(said: Iterable[tuple[int, Message]]) -> History:
    """Read the last fact of each kind, with its sequence, of one backup or restore."""
    found = History()
    for seq, message in said:
        attempt = message.attempt if isinstance(message, BackupAttempted | RestoreAttempted) else 0
        found = History(
            last_seq=max(found.last_seq, seq),
            attempts=max(found.attempts, attempt),
            ended=found.ended or message.type.partition(".")[2] in _ENDINGS,
        )
    return found


def decide(
    past: History, *, cancel_wanted: bool, now: datetime, not_after: datetime, limit: int
) -> Decision:
    """The one right next step, however often the order is delivered."""
    if past.ended:
        return Leave()
    if cancel_wanted:
        return Cancel()
    if past.attempts >= limit:
        return Fail(EXHAUSTED)
    if now > not_after:
        return Fail(LOST if past.attempts else EXPIRED)
    return Attempt(past.attempts + 1)
