"""A fact in the words of a note: one sentence for people, CloudEvents JSON for programs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from services.notifier.channels.base import Note
from shared.keys.sealed import is_sealed
from shared.messages.base import Fact
from shared.messages.values import Problem

# These stand in the envelope, or say who asked: no business of a receiver.
_ENVELOPE = {"id", "at", "type", "pool", "actor", "caused_by", "request_id"}


def note(fact: Fact, note_id: UUID, *, source: str) -> Note:
    """What the channel is to deliver; `source` names this installation."""
    return Note(
        id=note_id,
        text=sentence(fact),
        event={
            "specversion": "1.0",
            "id": str(fact.id),
            "source": source,
            "type": fact.type,
            "subject": fact.key,
            "time": fact.at.isoformat().replace("+00:00", "Z"),
            "datacontenttype": "application/json",
            "data": _plain(
                {
                    name: value
                    for name, value in msgspec.to_builtins(fact).items()
                    if name not in _ENVELOPE
                }
            ),
        },
    )


def sentence(fact: Fact) -> str:
    """`Backup failed: the database does not exist (check its name). [backup 0198...]`"""
    noun, verb = fact.type.split(".")
    problem: Problem | None = getattr(fact, "problem", None)
    said = f"{noun.capitalize()} {verb.replace('_', ' ')}"
    if problem is not None:
        said += f": {problem.cause}" + (f" ({problem.fix})" if problem.fix else "")
    return f"{said}. [{noun} {fact.key}]"


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Without lists, which may be of any length, and without sealed tokens."""
    return {
        name: _plain(inner) if isinstance(inner, dict) else inner
        for name, inner in value.items()
        if not isinstance(inner, list) and not is_sealed(inner)
    }
