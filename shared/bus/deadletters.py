"""Dead letters: what a durable gave up, listed, and handed to it once more on command."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from shared.bus.base import DLQ, Delivery
from shared.bus.redelivery import Verdict

DURABLE, REASON, CAUSE = "Holdfast-Durable", "Holdfast-Reason", "Holdfast-Cause"
STREAM, SUBJECT, SEQ = "Holdfast-Stream", "Holdfast-Subject", "Holdfast-Sequence"
LETTER = "Holdfast-Letter"
"""In a retry: the sequence of the dead letter that it repeats."""


class Letter(msgspec.Struct, frozen=True):
    """A message for the DLQ stream, as it is published."""

    subject: str
    headers: dict[str, str]
    data: bytes


def dead_subject(durable: str) -> str:
    return f"dlq.{durable}"


def retry_subject(durable: str) -> str:
    return f"retry.{durable}"


def dead_letter(durable: str, delivery: Delivery, verdict: Verdict) -> Letter:
    """The letter that keeps the delivery's bytes, where it came from, and why it is dead."""
    came = original(delivery)
    headers = {
        **{name: value for name, value in came.headers.items() if name.startswith("ce-")},
        # The same delivery dies once, even if the answer to our publish was lost.
        "Nats-Msg-Id": f"dead:{durable}:{delivery.stream}:{delivery.seq}",
        DURABLE: durable,
        REASON: verdict.code,
        CAUSE: _one_line(verdict.cause),
        STREAM: came.stream,
        SUBJECT: came.subject,
        SEQ: str(came.seq),
    }
    return Letter(dead_subject(durable), headers, delivery.data)


def original(delivery: Delivery) -> Delivery:
    """The delivery as it first was, if `delivery` is a dead letter or its retry."""
    headers = delivery.headers
    if delivery.stream != DLQ or SEQ not in headers:
        return delivery
    return msgspec.structs.replace(
        delivery, stream=headers[STREAM], subject=headers[SUBJECT], seq=int(headers[SEQ])
    )


def retry(letter: Delivery) -> Letter:
    """The message that makes the durable take the dead letter's content again."""
    headers = {
        **letter.headers,
        "Nats-Msg-Id": f"retry:{letter.subject}:{letter.seq}",
        LETTER: str(letter.seq),
    }
    return Letter(retry_subject(letter.headers[DURABLE]), headers, letter.data)


def waiting(standing: Iterable[Delivery], durable: str) -> list[Delivery]:
    """The letters of `durable` (`*`: of all) among DLQ's messages that no retry repeats yet."""
    letters: dict[int, Delivery] = {}
    for one in standing:
        if LETTER in one.headers:
            letters.pop(int(one.headers[LETTER]), None)
        elif durable in ("*", one.headers.get(DURABLE)):
            letters[one.seq] = one
    return list(letters.values())


def chosen(letters: list[Delivery], letter: int | None) -> list[Delivery]:
    """All of them, or only the one with this sequence."""
    return [one for one in letters if letter in (None, one.seq)]


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500]
