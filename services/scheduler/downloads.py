"""Archive keys for those who may download a dump: sealed to a key of that download alone."""

from __future__ import annotations

import asyncio

from services.scheduler.chains import Part
from services.scheduler.clock import Clock
from services.scheduler.endings import problem_of
from services.scheduler.orders import ACTOR, Orders
from services.scheduler.state import State
from shared.bus import Bus, Delivery
from shared.errors import PlatformError
from shared.keys.downloads import seal_archive_key
from shared.messages.base import Fact, consequence
from shared.messages.facts import (
    BackupDownloadGranted,
    BackupDownloadRefused,
    BackupDownloadRequested,
)
from shared.messages.facts.downloads import GrantedPart

DURABLE = "scheduler-downloads"
REQUESTS = ("evt.backup.download_requested.core.>",)
LOOK_EVERY_S = 0.2


class Downloads:
    """Answers each request once, after an audit checkpoint has passed it."""

    def __init__(self, bus: Bus, state: State, orders: Orders, clock: Clock) -> None:
        self._bus, self._state, self._orders, self._clock = bus, state, orders, clock

    async def on_requested(self, delivery: Delivery) -> None:
        """Open the archive's key for the request; one that nobody waits for is passed over.

        Raises retryable errors while the store or the read model does not answer.
        """
        request = delivery.message
        if not isinstance(request, BackupDownloadRequested) or not request.decrypt:
            return
        await self._state.at_least(delivery.seq)
        if not await self._proven(request, delivery.seq):
            return
        answer = await self._answer(request)
        if not await self._state.is_stored(answer.id):
            await self._bus.append(answer)

    async def _proven(self, request: BackupDownloadRequested, seq: int) -> bool:
        """Wait for the checkpoint, as long as the request is worth anything."""
        while self._clock.now() < request.valid_until:
            if await self._state.is_checkpointed(seq):
                return True
            await asyncio.sleep(LOOK_EVERY_S)
        return False

    async def _answer(self, request: BackupDownloadRequested) -> Fact:
        try:
            (_, key), *others = await self._orders.archive_keys(request.backup_id)
            sealed = seal_archive_key(key, request)
            chain = [_granted(part, other, request) for part, other in others]
        except PlatformError as error:
            if error.retryable:
                raise
            return BackupDownloadRefused(
                id=consequence(request.id, "refused"),
                actor=ACTOR,
                caused_by=request.id,
                request_id=request.request_id,
                backup_id=request.backup_id,
                download_id=request.download_id,
                problem=problem_of(error),
            )
        return BackupDownloadGranted(
            id=consequence(request.id, "granted"),
            actor=ACTOR,
            caused_by=request.id,
            request_id=request.request_id,
            backup_id=request.backup_id,
            download_id=request.download_id,
            sealed=sealed,
            chain=chain,
        )


def _granted(part: Part, key: bytes, request: BackupDownloadRequested) -> GrantedPart:
    return GrantedPart(
        backup_id=part.backup_id,
        store_id=part.store_id,
        prefix=part.prefix,
        manifest_sha256=part.archive.manifest_sha256,
        sealed=seal_archive_key(key, request),
    )
