"""Sign-ins that did not succeed, counted in KV: every replica knows what all have seen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from weakref import WeakValueDictionary

import msgspec

from services.gateway.errors import TooManyAttemptsError
from services.gateway.peers import neighbourhood
from services.gateway.secret_key import SecretKey
from shared.bus import Kv

WITHIN_S = 300.0
OF_ACCOUNT_AND_ADDRESS, OF_ACCOUNT, OF_ADDRESS = 10, 100, 50
"""An account that is guessed at from elsewhere can still sign in from its own address, and one
address cannot try a password on every account."""

TRIES = 20
_moments = msgspec.json.Decoder(list[float])


class Attempts:
    """Sign-ins that did not succeed yet: slows guessing, spares the hashing, keeps the log short.

    The keys are keyed hashes: neither addresses of people nor of machines stand in the bucket.
    """

    def __init__(self, bucket: Kv, secret: SecretKey, clock: Callable[[], datetime]) -> None:
        self._bucket, self._secret, self._clock = bucket, secret, clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def admit(self, account: str, address: str) -> Attempt:
        """Count one more; raises TooManyAttemptsError while there are too many."""
        at, peer = self._clock().timestamp(), neighbourhood(address)
        attempt = Attempt(at)
        for name, limit in (
            (f"both\0{account}\0{peer}", OF_ACCOUNT_AND_ADDRESS),
            (f"account\0{account}", OF_ACCOUNT),
            (f"address\0{peer}", OF_ADDRESS),
        ):
            key = self._secret.digest("attempts", name.encode()).hex()
            if not await self._counted(key, limit, at):
                await self.succeeded(attempt)
                raise TooManyAttemptsError("too many failed sign-ins")
            attempt.keys.append(key)
        return attempt

    async def succeeded(self, attempt: Attempt) -> None:
        """Take back what `admit` counted."""

        def less(found: list[float]) -> list[float]:
            without = [*found]
            with suppress(ValueError):  # forgotten meanwhile
                without.remove(attempt.at)
            return without

        for key in attempt.keys:
            async with self._lock(key):
                await self._change(key, less)

    async def _counted(self, key: str, limit: int, at: float) -> bool:
        def more(found: list[float]) -> list[float] | None:
            recent = [moment for moment in found if moment > at - WITHIN_S]
            return [*recent, at] if len(recent) < limit else None

        async with self._lock(key):
            return await self._change(key, more)

    async def _change(self, key: str, change: Callable[[list[float]], list[float] | None]) -> bool:
        """Write what `change` makes of the moments; False when it refuses, or cannot win."""
        for _ in range(TRIES):
            entry = await self._bucket.get(key)
            found = _moments.decode(entry.value) if entry and entry.value else []
            after = change(found)
            if after is None:
                return False
            value = msgspec.json.encode(after)
            if entry is None:
                written = await self._bucket.create(key, value)
            else:
                written = await self._bucket.update(key, value, revision=entry.revision)
            if written is not None:
                return True
        return False

    def _lock(self, key: str) -> asyncio.Lock:
        """One of this replica at a time: only the others are met by trying again."""
        lock = self._locks.get(key)
        if lock is None:
            self._locks[key] = lock = asyncio.Lock()
        return lock


class Attempt(msgspec.Struct):
    """What was counted: to be taken back when it succeeds."""

    at: float
    keys: list[str] = []
