"""From answers to a judgement: slow to call a server bad, quick to call it well again."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from shared.messages.values import Health, Problem

ANSWERS = 3
"""How many answers in a row must be bad before a judgement gets worse."""

SILENCE_S = 300.0
"""Nothing is known of a server that no probe answered for so long (five were sent)."""

_RANK = {Health.HEALTHY: 0, Health.DEGRADED: 1, Health.UNREACHABLE: 2}

SILENT = Problem(
    code="health.no_answer",
    cause="no worker of the server's pool answered its probes",
    fix="check that an executor of the pool runs",
)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe found, as the worker wrote it."""

    health: Health
    at: datetime
    versions: dict[str, str] = {}
    problem: Problem | None = None


class Verdict(msgspec.Struct, frozen=True):
    """What is said of a server, and why where it is not healthy."""

    health: Health
    problem: Problem | None = None


class Trail(msgspec.Struct, frozen=True, kw_only=True):
    """The last answers of one server, oldest first, and when the last came (monotonic seconds)."""

    answers: tuple[Answer, ...] = ()
    heard_s: float

    def heard(self, answer: Answer, now_s: float) -> Trail:
        """The trail with one more answer; the same one again changes nothing.

        After a silence the trail begins anew: what was true before it proves nothing now.
        """
        if self.answers and answer == self.answers[-1]:
            return self
        kept = () if now_s - self.heard_s >= SILENCE_S else self.answers
        return Trail(answers=(*kept, answer)[-ANSWERS:], heard_s=now_s)


def begun(health: Health, now_s: float) -> Trail:
    """The trail of a server judged `health` before this process began to look.

    It stands as if its last answers had said so: a restart neither speeds a judgement up nor
    repeats one.
    """
    if health is Health.UNKNOWN:
        return Trail(heard_s=now_s)
    before = Answer(health=health, at=datetime.min.replace(tzinfo=UTC))
    return Trail(answers=(before,) * (ANSWERS - 1), heard_s=now_s)


def verdict(trail: Trail, now_s: float) -> Verdict:
    """The best of the last answers: worse only when all of them are, better at once."""
    if now_s - trail.heard_s >= SILENCE_S:
        return Verdict(Health.UNKNOWN, SILENT)
    if not trail.answers:
        return Verdict(Health.UNKNOWN)
    best = min(trail.answers, key=lambda answer: _rank(answer.health))
    return Verdict(best.health, None if best.health is Health.HEALTHY else _latest(trail))


def _latest(trail: Trail) -> Problem | None:
    return next((one.problem for one in reversed(trail.answers) if one.problem), None)


def _rank(health: Health) -> int:
    return _RANK.get(health, len(_RANK))
