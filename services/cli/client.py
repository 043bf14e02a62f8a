"""The gateway's API, as the command line calls it."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, BinaryIO

import aiohttp
import msgspec

from services.cli.errors import AnsweredError, NotSignedInError, UnknownNameError, UnreachableError
from services.cli.profile import Login, Profile

ACCEPTED, UNAUTHORIZED = 202, 401
FOR_EVER = aiohttp.ClientTimeout(total=None, sock_read=60.0)
QUIET_S = 45.0
"""Three times the gateway's keep-alive: after that the connection is dead."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One live event."""

    name: str
    cursor: str
    data: dict[str, Any]


class Client:
    """Calls below /api/v1; raises AnsweredError with the gateway's problem."""

    def __init__(self, session: aiohttp.ClientSession, profile: Profile) -> None:
        self._session, self._profile = session, profile

    async def get(self, path: str, **query: str) -> Any:
        """The decoded answer of a GET."""
        return await self._call("GET", path, params=query)

    async def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """The decoded answer of a POST; repeated with the same `key` it creates nothing twice."""
        headers = {"Idempotency-Key": key or secrets.token_hex(16)}
        return await self._call("POST", path, json=body, headers=headers)

    async def put(self, path: str, body: Any, *, version: int) -> Any:
        """The decoded answer of a PUT over `version`."""
        return await self._call("PUT", path, json=body, headers={"If-Match": f'"{version}"'})

    async def revert(self, path: str, version: int, *, over: int) -> Any:
        """The decoded answer of going back to `version` of a setting, over the present one."""
        headers = {"If-Match": f'"{over}"'}
        return await self._call(
            "POST", f"{path}/revert", json={"version": version}, headers=headers
        )

    async def delete(self, path: str, *, version: int | None = None) -> Any:
        """The decoded answer of a DELETE."""
        headers = {} if version is None else {"If-Match": f'"{version}"'}
        return await self._call("DELETE", path, headers=headers)

    async def every(self, path: str, *, limit: int | None = None, **query: str) -> list[Any]:
        """All items of a list, or the first `limit`, page by page."""
        items: list[Any] = []
        while limit is None or len(items) < limit:
            page = await self.get(path, **query)
            items += page["items"]
            if page["next_cursor"] is None:
                break
            query["cursor"] = page["next_cursor"]
        return items[:limit]

    async def named(self, path: str, name: str) -> dict[str, Any]:
        """The item of a list with this name or id; raises UnknownNameError."""
        for item in await self.every(path):
            if name in {item["name"], item["id"]}:
                found: dict[str, Any] = item
                return found
        raise UnknownNameError(f"nothing in {path} is called {name}", fix="list what there is")

    async def read(self, path: str, **query: str) -> AsyncIterator[bytes]:
        """The lines of a streamed answer."""
        async with self._opened("GET", path, params=query) as response:
            async for line in response.content:
                yield line

    async def save(self, path: str, file: BinaryIO) -> int | None:
        """Write the bytes of an answer; how many, or None while they are not ready (202)."""
        async with self._opened("GET", path, timeout=FOR_EVER) as response:
            if response.status == ACCEPTED:
                return None
            count = 0
            try:
                async for piece in response.content.iter_chunked(1 << 20):
                    count += await asyncio.to_thread(file.write, piece)
            except aiohttp.ClientPayloadError as error:
                raise UnreachableError("the bytes broke off, so they are not whole") from error
            return count

    async def told(self, **query: str) -> AsyncIterator[Told]:
        """Live events, for ever; reconnects where it was."""
        while True:
            try:
                async for event in self._listen(query):
                    query["after"] = event.cursor
                    yield event
            except (UnreachableError, aiohttp.ClientError, TimeoutError):
                if "after" not in query:
                    raise

    async def _listen(self, query: dict[str, str]) -> AsyncIterator[Told]:
        timeout = aiohttp.ClientTimeout(total=None, sock_read=QUIET_S)
        async with self._opened("GET", "/events", params=query, timeout=timeout) as response:
            fields: dict[str, str] = {}
            async for raw in response.content:
                line = raw.decode().rstrip("\r\n")
                name, _, value = line.partition(": ")
                if line and name:
                    fields[name] = value
                elif not line and "data" in fields:
                    yield _told(fields)
                    fields = {}

    async def _call(self, method: str, path: str, **options: Any) -> Any:
        async with self._opened(method, path, **options) as response:
            return msgspec.json.decode(await response.read() or b"null")

    @asynccontextmanager
    async def _opened(
        self, method: str, path: str, **options: Any
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = f"/api/v1{path}"
        try:
            async with self._session.request(method, url, **options) as response:
                if response.status != UNAUTHORIZED or not await self._renew():
                    yield await _checked(response)
                    return
            async with self._session.request(method, url, **options) as response:
                yield await _checked(response)
        except aiohttp.ClientConnectionError as error:
            raise UnreachableError(f"no answer from {self._profile.url()}") from error

    async def _renew(self) -> bool:
        """Exchange the refresh token, unless another process just did."""
        used = self._session.headers.get("Authorization", "").removeprefix("Bearer ")
        with self._profile.alone():
            login = self._profile.login()
            if login is None or self._profile.token_file is not None:
                return False
            if login.access_token == used:
                login = await self._exchanged(login)
            if login is None:
                return False
            self._profile.remember(login)
        self._session.headers["Authorization"] = f"Bearer {login.access_token}"
        return True

    async def _exchanged(self, login: Login) -> Login | None:
        body = {"refresh_token": login.refresh_token}
        async with self._session.post("/api/v1/auth/refresh", json=body) as response:
            if not response.ok:
                return None
            return login_of(login.url, msgspec.json.decode(await response.read()))


def login_of(url: str, signed_in: Mapping[str, Any]) -> Login:
    """What to remember of a sign-in's answer."""
    return Login(
        url=url,
        access_token=signed_in["access_token"],
        refresh_token=signed_in["refresh_token"],
    )


@asynccontextmanager
async def connected(profile: Profile | None = None) -> AsyncIterator[Client]:
    """A signed-in client; raises NotSignedInError."""
    profile = profile or Profile(os.environ)
    if profile.token_file is not None:
        token = profile.token_file.read_text().strip()
    elif (login := profile.login()) is not None and login.url == profile.url():
        token = login.access_token
    else:
        raise NotSignedInError(f"nobody is signed in at {profile.url()}")
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(profile.url(), headers=headers) as session:
        yield Client(session, profile)


@asynccontextmanager
async def anonymous(profile: Profile, url: str) -> AsyncIterator[Client]:
    """A client that is not signed in."""
    async with aiohttp.ClientSession(url) as session:
        yield Client(session, profile)


async def _checked(response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    if response.ok:
        return response
    problem: dict[str, Any] = {}
    if "json" in response.content_type:
        problem = msgspec.json.decode(await response.read())
    faults = "; ".join(f"{it['pointer']}: {it['message']}" for it in problem.get("errors", ()))
    cause = problem.get("detail", f"the gateway answered {response.status}")
    raise AnsweredError(
        response.status,
        problem.get("code", ""),
        f"{cause}: {faults}" if faults else cause,
        fix=problem.get("fix", ""),
    )


def _told(fields: dict[str, str]) -> Told:
    data = msgspec.json.decode(fields["data"])
    return Told(name=fields.get("event", ""), cursor=fields.get("id", ""), data=data)
