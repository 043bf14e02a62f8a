"""When a note may go out: at once, at the end of quiet hours, or with the next digest."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from shared.messages.values import Digest, QuietHours, Severity


def due(
    at: datetime, severity: Severity, quiet: QuietHours | None, digest: Digest | None
) -> datetime | None:
    """When a note of what happened at `at` goes out with others; None: at once, by itself.

    What is critical does not wait for the end of quiet hours.
    """
    if digest is not None:
        return next_digest(at, digest)
    if quiet is not None and severity is not Severity.CRITICAL:
        return quiet_until(at, quiet)
    return None


def quiet_until(at: datetime, quiet: QuietHours) -> datetime | None:
    """The end of the quiet hours that `at` falls into; None outside of them."""
    zone = ZoneInfo(quiet.time_zone)
    local = at.astimezone(zone)
    begins, ends = time.fromisoformat(quiet.begins), time.fromisoformat(quiet.ends)
    now = local.time().replace(tzinfo=None)
    if begins <= ends:
        inside, over = begins <= now < ends, local.date()
    else:
        inside = now >= begins or now < ends
        over = local.date() + timedelta(days=1 if now >= begins else 0)
    if not inside:
        return None
    return datetime.combine(over, ends, zone).astimezone(UTC)


def next_digest(at: datetime, digest: Digest) -> datetime:
    """The first time of the digest after `at`."""
    zone, hour = ZoneInfo(digest.time_zone), time.fromisoformat(digest.at)
    day = at.astimezone(zone).date()
    while True:
        if digest.every == "day" or day.weekday() == digest.weekday:
            found = datetime.combine(day, hour, zone).astimezone(UTC)
            if found > at:
                return found
        day += timedelta(days=1)
