"""Password hashing: argon2id, in threads, a few at a time."""

from __future__ import annotations

import asyncio

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

AT_A_TIME = 2
"""Each hash takes 64 MiB; more at once would let sign-ins exhaust the memory."""

SHORTEST, LONGEST = 12, 256


class Passwords:
    """Hashes and compares passwords without blocking the event loop."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._places = asyncio.Semaphore(AT_A_TIME)
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """The argon2id hash, with its parameters and salt inside."""
        async with self._places:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def matches(self, hashed: str, password: str) -> bool:
        """Whether `password` is the one that was hashed."""
        async with self._places:
            return await asyncio.to_thread(self._verify, hashed, password)

    async def pretend(self, password: str) -> None:
        """Take as long as a comparison: an unknown account must not answer faster."""
        if self._nobody is None:
            self._nobody = await self.hash("nobody has this password")
        await self.matches(self._nobody, password)

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (Argon2Error, InvalidHashError):
            return False
