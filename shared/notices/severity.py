"""How much a fact should worry somebody."""

from __future__ import annotations

from shared.messages.base import Fact
from shared.messages.facts import ServerHealthChanged
from shared.messages.values import Health, Severity

ORDER = [*Severity]

_BY_TYPE = {
    "backup.failed": Severity.ERROR,
    "backup.corrupted": Severity.CRITICAL,
    "archive.corrupted": Severity.CRITICAL,
    "service.went_down": Severity.CRITICAL,
    "schedule.missed": Severity.ERROR,
    "schedule.warned": Severity.WARNING,
    "objective.missed": Severity.ERROR,
    "objective.endangered": Severity.WARNING,
    "dispatch.paused": Severity.WARNING,
    "log.repaired": Severity.CRITICAL,
    "log.clock_turned_back": Severity.CRITICAL,
    "channel.disabled": Severity.ERROR,
    "key.export_requested": Severity.WARNING,
    "server.tested": Severity.WARNING,
    "server.discovered": Severity.WARNING,
}
_BY_WORD = {
    "failed": Severity.ERROR,
    "exceeded": Severity.ERROR,
    "burning": Severity.ERROR,
    "corrupted": Severity.CRITICAL,
    "cancelled": Severity.WARNING,
    "refused": Severity.WARNING,
    "missed": Severity.WARNING,
    "warned": Severity.WARNING,
    "skipped": Severity.WARNING,
    "filling": Severity.WARNING,
}
"""Words of a verb: a fact of tomorrow is judged by the words of today."""

_BY_HEALTH = {
    Health.UNREACHABLE: Severity.ERROR,
    Health.DEGRADED: Severity.WARNING,
}
_ANSWERS = {"server.tested", "server.discovered", "schedule.warned"}
"""Facts that tell a problem or that all is well."""


def severity_of(fact: Fact) -> Severity:
    """The severity of `fact`, from what it says alone."""
    if isinstance(fact, ServerHealthChanged):
        return _BY_HEALTH.get(fact.health, Severity.INFO)
    if fact.type in _ANSWERS and getattr(fact, "problem", None) is None:
        return Severity.INFO
    if fact.type in _BY_TYPE:
        return _BY_TYPE[fact.type]
    words = fact.type.partition(".")[2].split("_")
    found = [_BY_WORD[word] for word in words if word in _BY_WORD]
    return max(found, key=ORDER.index, default=Severity.INFO)


def at_least(severity: Severity, wanted: Severity) -> bool:
    """Whether `severity` is `wanted` or worse."""
    return ORDER.index(severity) >= ORDER.index(wanted)
