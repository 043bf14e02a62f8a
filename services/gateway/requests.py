"""Questions that somebody waits for: asked in the log, answered by a fact of a worker."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from services.gateway.dependencies import Dependencies
from shared.bus.base import EVENTS
from shared.messages.facts import (
    ServerDiscovered,
    ServerDiscoveryRequested,
    ServerTested,
    ServerTestRequested,
    StoreTested,
    StoreTestRequested,
)

ANSWER_WITHIN_S = 15.0
Answered = TypeVar("Answered", ServerTested, ServerDiscovered, StoreTested)


async def asked(
    deps: Dependencies,
    question: ServerTestRequested | ServerDiscoveryRequested | StoreTestRequested,
    answer: type[Answered],
) -> Answered | None:
    """Append the question and wait for its answer; None when none came in time."""
    seq = (await deps.bus.append(question)).seq
    subject = f"evt.{answer.__struct_config__.tag}.*.{question.key}"
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            async for delivery in deps.bus.follow(EVENTS, after_seq=seq, filters=(subject,)):
                message = delivery.message
                if isinstance(message, answer) and message.run_id == question.run_id:
                    return message
    except TimeoutError:
        pass
    return None
