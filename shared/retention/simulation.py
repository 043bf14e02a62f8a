"""What a policy would keep of the backups of a schedule, before there are any."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, tzinfo
from uuid import UUID

import msgspec

from shared.retention.policy import Candidate, judged
from shared.retention.reasons import Reason
from shared.retention.rules import Rules


class Foreseen(msgspec.Struct, frozen=True, kw_only=True):
    """One slot, and what would become of its backup; `reasons` are codes of `Reason`."""

    slot: datetime
    keep: bool
    reasons: tuple[Reason, ...]


def foreseen(
    slots: Iterable[datetime], rules: Rules | None, zone: tzinfo, *, at: datetime
) -> list[Foreseen]:
    """What stands at `at` when every slot became a good, verified backup; the oldest first.

    Without rules (no policy) everything stands. Slots after `at` are left out.
    """
    candidates = [
        Candidate(
            backup_id=UUID(int=number),
            store_id="",
            taken_at=slot,
            rules=rules,
            zone=zone,
            verified=True,
        )
        for number, slot in enumerate(sorted(slots))
        if slot <= at
    ]
    return [
        Foreseen(slot=one.candidate.taken_at, keep=one.keep, reasons=one.reasons)
        for one in reversed(judged(candidates, at).verdicts)
    ]
