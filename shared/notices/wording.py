"""A fact in the words of a note: one sentence for people, CloudEvents JSON for programs."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.keys.sealed import is_sealed
from shared.messages.base import Fact
from shared.messages.values import Problem
from shared.notices.about import NOTHING, About
from shared.notices.severity import severity_of

# These stand in the envelope, or say who asked: no business of a receiver.
_ENVELOPE = {"id", "at", "type", "pool", "actor", "caused_by", "request_id"}
LONGEST_VALUE = 2_000


def event_of(fact: Fact, *, source: str) -> dict[str, Any]:
    """CloudEvents JSON without lists and tokens; `source` names this installation."""
    return {
        "specversion": "1.0",
        "id": str(fact.id),
        "source": source,
        "type": fact.type,
        "subject": fact.key,
        "time": _time(fact),
        "datacontenttype": "application/json",
        "data": _plain(
            {
                name: value
                for name, value in msgspec.to_builtins(fact).items()
                if name not in _ENVELOPE
            }
        ),
    }


def sentence(fact: Fact, about: About = NOTHING, *, recovered: bool = False, count: int = 1) -> str:
    """`Backup of orders on shop failed: no such database (check its name). [backup 0198...]`"""
    noun, verb = fact.type.split(".")
    problem: Problem | None = getattr(fact, "problem", None)
    of = f" of {about.place}" if about.place else ""
    said = f"{noun.capitalize()}{of} {verb.replace('_', ' ')}"
    if problem is not None:
        said += f": {problem.cause}" + (f" ({problem.fix})" if problem.fix else "")
    if recovered:
        times = f" after {count} failures" if count > 1 else ""
        said = f"Recovered{times}: {said}"
    elif count > 1:
        said += f" (now {count} times)"
    return f"{said}. [{noun} {fact.key}]"[:LONGEST_VALUE]


def values_of(
    fact: Fact, about: About = NOTHING, *, recovered: bool = False, count: int = 1
) -> dict[str, Any]:
    """What a template may name, of one fact."""
    problem: Problem | None = getattr(fact, "problem", None)
    return {
        "text": sentence(fact, about, recovered=recovered, count=count),
        "type": fact.type,
        "subject": fact.key,
        "time": _time(fact),
        "severity": severity_of(fact).value,
        "recovered": recovered,
        "count": count,
        "server": about.server,
        "environment": about.environment,
        "database": about.database,
        "store": about.store,
        "problem": _plain(msgspec.to_builtins(problem)) if problem else {},
        "data": event_of(fact, source="")["data"],
    }


def _time(fact: Fact) -> str:
    return fact.at.isoformat().replace("+00:00", "Z")


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Without lists, which may be of any length, without sealed tokens, and no text endless."""
    return {
        name: _plain(inner)
        if isinstance(inner, dict)
        else inner[:LONGEST_VALUE]
        if isinstance(inner, str)
        else inner
        for name, inner in value.items()
        if not isinstance(inner, list) and not is_sealed(inner)
    }
