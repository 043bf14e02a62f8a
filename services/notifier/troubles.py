"""Repeats and recoveries: which facts tell the same problem of the same object, and its end."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

import msgspec

from shared.messages.base import Fact
from shared.messages.facts import RestoreCompleted, RestoreFailed, ServerHealthChanged
from shared.messages.values import Health, Problem
from shared.notices.about import NOTHING, About

_PAIRS = {
    "backup.failed": ("backup", "database", True),
    "backup.completed": ("backup", "database", False),
    "backup.corrupted": ("proof", "subject", True),
    "backup.verified": ("proof", "subject", False),
    "archive.failed": ("archive", "subject", True),
    "archive.replicated": ("archive", "subject", False),
    "archive.corrupted": ("proof", "subject", True),
    "archive.verified": ("proof", "subject", False),
    "restore.failed": ("restore", "database", True),
    "restore.completed": ("restore", "database", False),
    "schedule.missed": ("schedule", "subject", True),
    "schedule.caught_up": ("schedule", "subject", False),
    "objective.endangered": ("objective", "subject", True),
    "objective.missed": ("objective", "subject", True),
    "objective.met": ("objective", "subject", False),
    "dispatch.paused": ("dispatch", "subject", True),
    "dispatch.resumed": ("dispatch", "subject", False),
    "store.filling": ("quota", "subject", True),
    "store.relieved": ("quota", "subject", False),
    "group.filling": ("quota", "subject", True),
    "group.relieved": ("quota", "subject", False),
    "service.went_down": ("service", "subject", True),
    "service.came_back": ("service", "subject", False),
}
"""Type -> what is tried, of which object, and whether it failed."""

_ANSWERS = {"server.tested", "server.discovered", "schedule.warned"}


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """What a fact says of an object: that trying something with it failed, or went well."""

    name: str
    failed: bool
    code: str = ""

    @property
    def key(self) -> str:
        """The topic as a subject token."""
        return sha256(self.name.encode()).hexdigest()[:32]


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """The trouble with one topic, as one rule has told it.

    `told_seq` is the fact that was told last, `last_seq` the last that failed, `over_seq` the one
    that ended it (0: not over). So each answer is the same when a fact is delivered again.
    """

    code: str
    told_seq: int
    told_at: datetime
    last_seq: int
    count: int = 1
    over_seq: int = 0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Whether to tell the fact, as what, and what to remember."""

    tell: bool
    recovered: bool = False
    count: int = 1
    trouble: Trouble | None = None


def may_end(fact: Fact) -> bool:
    """Whether `fact` may be the end of a trouble, as far as it can be seen without its object."""
    topic = topic_of(fact, NOTHING)
    return topic is not None and not topic.failed


def topic_of(fact: Fact, about: About) -> Topic | None:
    """What `fact` says of its object; None when it is neither a failure nor the end of one."""
    problem: Problem | None = getattr(fact, "problem", None)
    if isinstance(fact, ServerHealthChanged):
        failed = fact.health in {Health.UNREACHABLE, Health.DEGRADED}
        return Topic(name=f"health:{fact.key}", failed=failed, code=fact.health.value)
    if fact.type in _ANSWERS:
        code = problem.code if problem else ""
        return Topic(name=f"{fact.type}:{fact.key}", failed=problem is not None, code=code)
    if fact.type not in _PAIRS:
        return None
    tried, what, failed = _PAIRS[fact.type]
    if isinstance(fact, RestoreCompleted | RestoreFailed):
        # A test that went well ends no trouble with a restore that somebody wanted.
        tried = "test" if fact.tested_backup_id else "read" if fact.verified_backup_id else tried
    of = about.database_id or fact.key if what == "database" else fact.key
    code = f"{fact.type}:{problem.code if problem else ''}"
    return Topic(name=f"{tried}:{of}", failed=failed, code=code if failed else "")


def answer(
    fact_at: datetime, seq: int, topic: Topic, before: Trouble | None, repeat_after_s: int
) -> Answer:
    """What to do about a fact that says `topic`, given what was told before."""
    if topic.failed:
        return _failed(fact_at, seq, topic, before, repeat_after_s)
    if before is None or seq <= before.last_seq or before.over_seq not in {0, seq}:
        return Answer(tell=False, trouble=before)
    over = msgspec.structs.replace(before, over_seq=seq)
    return Answer(tell=True, recovered=True, count=before.count, trouble=over)


def _failed(
    at: datetime, seq: int, topic: Topic, before: Trouble | None, repeat_after_s: int
) -> Answer:
    if before is None or (before.over_seq and seq > before.over_seq):
        first = Trouble(code=topic.code, told_seq=seq, told_at=at, last_seq=seq)
        return Answer(tell=True, trouble=first)
    if seq <= before.last_seq:  # delivered again
        return Answer(
            tell=seq == before.told_seq or not repeat_after_s, count=before.count, trouble=before
        )
    again = msgspec.structs.replace(before, last_seq=seq, count=before.count + 1)
    waited_s = (at - before.told_at).total_seconds()
    if topic.code != before.code or waited_s >= repeat_after_s:
        told = msgspec.structs.replace(again, code=topic.code, told_seq=seq, told_at=at)
        return Answer(tell=True, count=told.count, trouble=told)
    return Answer(tell=False, count=again.count, trouble=again)
