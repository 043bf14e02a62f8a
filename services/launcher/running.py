"""What a change needs of the running platform."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from services.launcher.installation import Installation


class Running(Protocol):
    """What a change needs of the running platform."""

    @property
    def installation(self) -> Installation: ...

    def paused(self, services: Sequence[str]) -> AbstractAsyncContextManager[None]:
        """Stop these services in order for the block, then start them and wait until ready."""
        ...

    async def configure_nats(self) -> None:
        """Give nats-server the users and passwords of the key folder as it is now."""
        ...
