"""What a policy would keep of a schedule's backups, before there are any."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from shared.retention.reasons import Reason
from shared.retention.rules import Rules
from shared.retention.simulation import foreseen

BERLIN = ZoneInfo("Europe/Berlin")
FIRST = datetime(2026, 1, 1, 1, 30, tzinfo=UTC)
NIGHTS = [FIRST + timedelta(days=day) for day in range(59)]


def test_every_slot_is_told_with_what_would_become_of_it() -> None:
    told = foreseen(NIGHTS, Rules(keep_last=2, keep_monthly=2), BERLIN, at=NIGHTS[-1])

    assert [one.slot for one in told] == NIGHTS
    assert [one.slot for one in told if one.keep] == [NIGHTS[30], *NIGHTS[-2:]]
    assert told[30].reasons == (Reason.MONTHLY,)
    assert told[0].reasons == (Reason.OUTLIVED,)


def test_slots_that_are_still_to_come_are_left_out() -> None:
    told = foreseen(reversed(NIGHTS), Rules(keep_last=9), BERLIN, at=NIGHTS[4])

    assert [one.slot for one in told] == NIGHTS[:5]


def test_without_a_policy_every_backup_would_stand() -> None:
    assert all(one.keep for one in foreseen(NIGHTS, None, UTC, at=NIGHTS[-1]))
