"""Clients that ask for things without pause, and repeat each request until it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import aiohttp

from tests.support.platform import Installed

PAUSE_S = 0.03
ANSWER_WITHIN_S = 90.0
CLIENTS = 3


class Load:
    """`acknowledged` are the subjects of the settings that the platform said it has stored."""

    def __init__(self, house: Installed, random: Random) -> None:
        self._house, self._random = house, random
        self.acknowledged: list[str] = []
        self.repeated = 0

    def answered(self, count: int) -> bool:
        """Whether so many requests were acknowledged by now."""
        return len(self.acknowledged) >= count

    @asynccontextmanager
    async def going(self) -> AsyncIterator[None]:
        """Requests inside the block; at its end the last ones are repeated until answered."""
        ending = asyncio.Event()
        async with (
            aiohttp.ClientSession(
                self._house.platform.url,
                headers={"Authorization": self._house.authorization},
                timeout=aiohttp.ClientTimeout(total=20),
            ) as session,
            asyncio.TaskGroup() as group,
        ):
            for number in range(CLIENTS):
                group.create_task(self._client(session, number, ending))
            try:
                yield
            finally:
                ending.set()

    async def _client(
        self, session: aiohttp.ClientSession, client: int, ending: asyncio.Event
    ) -> None:
        count = 0
        while not ending.is_set():
            count += 1
            key = f"{client}-{count}-{self._random.getrandbits(64):x}"
            async with asyncio.timeout(ANSWER_WITHIN_S):
                made = await self._until_answered(session, key)
            self.acknowledged.append(f"cfg.policy.{made}")
            await asyncio.sleep(PAUSE_S)

    async def _until_answered(self, session: aiohttp.ClientSession, key: str) -> str:
        body = {"name": f"policy {key}", "keep_last": 1}
        while True:
            try:
                async with session.post(
                    "/api/v1/policies", json=body, headers={"Idempotency-Key": key}
                ) as response:
                    answer = await response.json(content_type=None)
                    if response.status in {201, 202}:
                        return str(answer["id"])
                    assert response.status >= 500 or response.status == 429, answer
            except (aiohttp.ClientError, TimeoutError):
                pass
            self.repeated += 1
            await asyncio.sleep(0.1)
