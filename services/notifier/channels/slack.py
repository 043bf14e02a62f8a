"""Slack, or what understands its incoming webhooks: one message per note."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from services.notifier.channels.base import Note
from services.notifier.channels.posting import AllowPrivate, CaCertificate, Target, Url, post

LONGEST_SECTION = 3000
"""What Slack takes in one block of text; the rest of a longer note is cut."""


class Slack(msgspec.Struct, tag="slack", tag_field="kind", frozen=True, forbid_unknown_fields=True):
    """An incoming webhook of a Slack channel; whoever knows its URL may post there."""

    FOR_PEOPLE: ClassVar[bool] = True

    url: Url
    ca_certificate: CaCertificate = ""
    allow_private: AllowPrivate = False

    def __repr__(self) -> str:
        return "Slack(***)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []

    async def send(self, note: Note, *, allow_loopback: bool = False) -> None:
        target = Target(
            url=self.url,
            ca_certificate=self.ca_certificate,
            allow_private=self.allow_private,
            allow_loopback=allow_loopback,
        )
        headers = {"content-type": "application/json", "user-agent": "holdfast"}
        await post(target, msgspec.json.encode(message(note)), headers)


def message(note: Note) -> dict[str, Any]:
    """The note as Slack's JSON. `text` is for pop-ups and for readers that show no blocks."""
    about = f"{note.event.get('type', '')} \N{MIDDLE DOT} {note.id}"
    return {
        "text": escaped(note.subject or note.text),
        "mrkdwn": False,
        "blocks": [
            {"type": "section", "text": _text(note.body or note.text)},
            {"type": "context", "elements": [_text(about)]},
        ],
    }


def escaped(text: str) -> str:
    """`text` in which nothing is a link or a mention: Slack's three control characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _text(text: str) -> dict[str, Any]:
    safe = escaped(text)
    if len(safe) > LONGEST_SECTION:  # not inside of an entity
        safe = safe[: LONGEST_SECTION - 8].rpartition("&")[0] or safe[: LONGEST_SECTION - 8]
        safe += " \N{HORIZONTAL ELLIPSIS}"
    # verbatim: names that look like channels or links stay text.
    return {"type": "mrkdwn", "text": safe, "verbatim": True}
