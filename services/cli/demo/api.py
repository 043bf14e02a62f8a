"""The few calls that the demo makes of the platform, as any client would."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from shared.errors import PlatformError

LOOK_EVERY_S = 0.1
ENDED = {"completed", "failed", "cancelled"}


class CallRefusedError(PlatformError):
    """The platform answered with a problem."""

    code = "demo.refused"


class Api:
    """A signed-in client."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The answer of a POST; raises CallRefusedError with the problem's text."""
        headers = {"Idempotency-Key": secrets.token_hex(16)}
        async with self._session.post(f"/api/v1{path}", json=body, headers=headers) as response:
            return await _answer(response)

    async def get(self, path: str) -> dict[str, Any]:
        """The answer of a GET; raises CallRefusedError."""
        async with self._session.get(f"/api/v1{path}") as response:
            return await _answer(response)

    async def ended(self, run_id: str, *, within_s: float = 120.0) -> dict[str, Any]:
        """The run once it has ended; raises CallRefusedError when it ended badly."""
        async with asyncio.timeout(within_s):
            while (run := await self.get(f"/runs/{run_id}"))["status"] not in ENDED:
                await asyncio.sleep(LOOK_EVERY_S)
        if run["status"] != "completed":
            problem = run.get("problem") or {}
            raise CallRefusedError(
                f"the {run['kind']} {run['status']}: {problem.get('cause', '')}",
                fix=problem.get("fix", ""),
            )
        return run

    async def until_read(self, run_id: str, raw_bytes: int, *, within_s: float = 60.0) -> None:
        """Wait until a run has read that much, as the platform says live, or has ended."""
        async with (
            asyncio.timeout(within_s),
            self._session.get("/api/v1/events", params={"run": run_id}) as response,
        ):
            async for line in response.content:
                if line.startswith(b"data:"):
                    told = json.loads(line[5:])
                    ended = told.get("type", "").endswith((".completed", ".failed"))
                    if ended or told.get("event", {}).get("raw_bytes", 0) >= raw_bytes:
                        return

    async def save(self, path: str, to: Any) -> None:
        """Write the body of a GET to a file."""
        async with self._session.get(f"/api/v1{path}") as response:
            response.raise_for_status()
            to.write_bytes(await response.read())


@asynccontextmanager
async def first_admin(url: str, token: str, password: str) -> AsyncIterator[Api]:
    """Make the first administrator with the one-time token, and call as that account."""
    async with aiohttp.ClientSession(url) as session:
        body = {
            "token": token,
            "name": "Demo Admin",
            "email": "admin@example.com",
            "password": password,
        }
        signed_in = await Api(session).post("/setup", body)
        session.headers["Authorization"] = f"Bearer {signed_in['access_token']}"
        yield Api(session)


async def _answer(response: aiohttp.ClientResponse) -> dict[str, Any]:
    answer: dict[str, Any] = await response.json(content_type=None) or {}
    if response.status >= 400:
        cause = answer.get("detail") or answer.get("title") or f"status {response.status}"
        raise CallRefusedError(f"{response.url.path}: {cause}", fix=answer.get("fix", ""))
    return answer
