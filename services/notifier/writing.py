"""Notes in their final words: by the rule's template, else plainly."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import structlog

from services.notifier.channels.base import Note
from services.notifier.rules import Template
from shared.messages.base import Fact, now
from shared.messages.values import Severity
from shared.notices.about import NOTHING, About
from shared.notices.severity import ORDER
from shared.notices.templates import TemplateFaultError, rendered
from shared.notices.wording import event_of, values_of

SOURCE = "/holdfast"


async def note_of(  # noqa: PLR0913 - what a note is made of
    note_id: UUID,
    fact: Fact,
    *,
    about: About = NOTHING,
    template: Template | None = None,
    recovered: bool = False,
    count: int = 1,
) -> Note:
    """One fact as a note."""
    values = values_of(fact, about, recovered=recovered, count=count)
    event = event_of(fact, source=SOURCE)
    return await _note(note_id, event, {**values, "digest": False, "notes": [values]}, template)


async def digest_of(
    digest_id: UUID, notes: list[dict[str, Any]], *, more: int, template: Template | None
) -> Note:
    """Several facts as one note; `more` were left out."""
    total = len(notes) + more
    severities = [Severity(one["severity"]) for one in notes]
    at = now().isoformat().replace("+00:00", "Z")
    values: dict[str, Any] = {
        "text": f"Holdfast: {total} notes that waited",
        "type": "digest",
        "subject": str(digest_id),
        "time": at,
        "severity": max(severities, key=ORDER.index, default=Severity.INFO).value,
        "recovered": False,
        "count": total,
        "problem": {},
        "data": {"notes": total},
        "digest": True,
        "notes": notes,
    }
    event = {
        "specversion": "1.0",
        "id": str(digest_id),
        "source": SOURCE,
        "type": "digest",
        "subject": str(digest_id),
        "time": at,
        "datacontenttype": "application/json",
        "data": {"notes": total, "severity": values["severity"]},
    }
    lines = [f"{one['time']}  {one['severity']:<8}  {one['text']}" for one in notes]
    lines += [f"... and {more} more: see the list of deliveries and runs"] if more else []
    plain = "\n".join([values["text"], "", *lines])
    return await _note(digest_id, event, values, template, plain=plain)


async def _note(
    note_id: UUID,
    event: dict[str, Any],
    values: dict[str, Any],
    template: Template | None,
    *,
    plain: str = "",
) -> Note:
    text = values["text"]
    if template is not None:
        try:
            words = await asyncio.to_thread(rendered, template.title, template.body, values)
            return Note(
                id=note_id, text=text, event=event, subject=words.title, body=words.body or plain
            )
        except TemplateFaultError as error:  # a note in plain words is better than none
            structlog.get_logger().warning("template_failed", code=error.code, cause=error.cause)
    return Note(id=note_id, text=text, event=event, body=plain)
