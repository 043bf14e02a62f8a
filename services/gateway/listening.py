"""One who hears live events: what they asked for, and what they may hear."""

from __future__ import annotations

import asyncio
import random

import msgspec

from services.gateway.callers import Caller
from services.gateway.grants import Place, covers, everywhere, holds
from services.gateway.identities import Identities
from services.gateway.live import LiveEvent
from services.gateway.rights import OF_SERVERS, Right
from shared.bus.base import LOGS
from shared.errors import UnauthenticatedError
from shared.messages.output import OutputProgress

PROGRESS = str(OutputProgress.__struct_config__.tag)
LOOK_AGAIN_S = 15.0
"""How long a listener whom no event concerned goes on before they are looked up again."""


class Asked(msgspec.Struct, frozen=True):
    """What a listener wants to hear: nouns (none: all), of one run alone, and of the output of runs
    the `progress` of all and the log of some."""

    topics: frozenset[str] = frozenset()
    run: str = ""
    progress: bool = False
    logs_of: frozenset[str] = frozenset()

    def includes(self, event: LiveEvent) -> bool:
        """Whether they asked for it, whether or not they may have it."""
        if event.stream == LOGS:
            return (
                "log" in self.topics
                or bool(self.run and event.run_id == self.run)
                or event.run_id in self.logs_of
                or (self.progress and event.type == PROGRESS)
            )
        if self.topics:
            return event.noun in self.topics
        return not self.run or event.run_id == self.run


def may_hear(caller: Caller, event: LiveEvent) -> bool:
    """Whether the caller has the right to hear of what the event is about, where it stands."""
    right = event.topic.right
    if event.topic.field:
        return covers(caller, right, event.place)
    return everywhere(caller, right) if right in OF_SERVERS else holds(caller, right)


class Listener:
    """A caller whose stream is open: it ends with the session, and shrinks with the rights."""

    def __init__(self, identities: Identities, caller: Caller, asked: Asked) -> None:
        self._identities, self._caller, self._asked = identities, caller, asked
        self._look_at = _later()
        self._concerned = False
        self._may: dict[tuple[Right, bool, Place | None], bool] = {}

    def stirs(self, event: LiveEvent) -> bool:
        """Whether it is for them, or about their own account: then they are looked up anew."""
        if self._concerns(event):
            self._look_at, self._concerned = 0.0, True
            return True
        return self.hears(event)

    def hears(self, event: LiveEvent) -> bool:
        """Whether to send it."""
        return self._asked.includes(event) and self._may_hear(event)

    def _may_hear(self, event: LiveEvent) -> bool:
        # Remembered: with hundreds of listeners this is asked thousands of times a second.
        about = event.topic.right, bool(event.topic.field), event.place
        if about not in self._may:
            self._may[about] = may_hear(self._caller, event)
        return self._may[about]

    @property
    def is_due(self) -> bool:
        """Whether there is a reason to look them up again."""
        return asyncio.get_running_loop().time() >= self._look_at

    async def may_go_on(self) -> bool:
        """Look them up: whether the session still lives and may listen."""
        look = self._identities.again if self._concerned else self._identities.lately
        self._look_at, self._concerned = _later(), False
        try:
            found = await look(self._caller)
        except UnauthenticatedError:
            return False
        if found != self._caller:
            self._caller = found
            self._may.clear()
        return holds(self._caller, Right.EVENTS_READ)

    def _concerns(self, event: LiveEvent) -> bool:
        if event.noun not in {"user", "api_key"}:
            return False
        own = {self._caller.user_id, self._caller.key_id} - {""}
        return not own.isdisjoint({event.body.get("key"), event.body.get("user_id")})


def _later() -> float:
    """When to look again; not all at once who began to listen at once, as after a restart."""
    return asyncio.get_running_loop().time() + LOOK_AGAIN_S * random.uniform(0.7, 1.0)  # noqa: S311
