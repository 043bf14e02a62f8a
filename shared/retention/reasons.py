"""Why a backup is kept or expires: one table of codes and sentences."""

from __future__ import annotations

from enum import IntEnum
from functools import cache


class Reason(IntEnum):
    """Bits of a mask. What keeps comes first; a verdict with one of the last two lets expire."""

    LEGAL_HOLD = 1
    HOLD = 2
    IN_USE = 4
    NEEDED = 8
    UNPROVEN = 16
    LAST_GOOD = 32
    LAST_VERIFIED = 64
    LAST = 128
    DAYS = 256
    DAILY = 512
    WEEKLY = 1024
    MONTHLY = 2048
    YEARLY = 4096
    MIN_AGE = 8192
    NO_POLICY = 16384
    CORRUPT = 32768
    OUTLIVED = 65536

    @property
    def code(self) -> str:
        """The name as the API says it."""
        return self.name.lower()

    @property
    def sentence(self) -> str:
        """The same for people."""
        return _SENTENCES[self]


_SENTENCES = {
    Reason.LEGAL_HOLD: "a legal hold lies on it",
    Reason.HOLD: "a hold lies on it",
    Reason.IN_USE: "a running restore or backup reads it",
    Reason.NEEDED: "a later backup that is kept needs it",
    Reason.UNPROVEN: "no backup of this database has been verified yet",
    Reason.LAST_GOOD: "it is the last good backup in this store",
    Reason.LAST_VERIFIED: "it is the last verified backup in this store",
    Reason.LAST: "it is among the newest",
    Reason.DAYS: "it is not old enough",
    Reason.DAILY: "it is the newest of its day",
    Reason.WEEKLY: "it is the newest of its week",
    Reason.MONTHLY: "it is the newest of its month",
    Reason.YEARLY: "it is the newest of its year",
    Reason.MIN_AGE: "it is younger than the minimum age",
    Reason.NO_POLICY: "no policy applies to it",
    Reason.CORRUPT: "it is damaged, and enough good ones are newer",
    Reason.OUTLIVED: "no rule of the policy keeps it",
}
TIMED = Reason.LEGAL_HOLD | Reason.HOLD | Reason.DAYS | Reason.MIN_AGE
"""What may end by itself, without an event."""


@cache
def reasons_in(mask: int) -> tuple[Reason, ...]:
    """The reasons of a mask, in the order of the table."""
    return tuple(reason for reason in Reason if mask & reason)
