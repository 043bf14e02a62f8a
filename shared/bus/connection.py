"""The connection to NATS: one short-lived client after another, for as long as the bus lives.

nats-py's own reconnecting can end for good or hang, so it is off: a lost client is thrown away
and a new one is made here, which every reader and writer notices at once.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client

from shared import metrics
from shared.bus.errors import NoAnswerError
from shared.bus.link import Link
from shared.ending import ended, in_time
from shared.settings import ConfigurationError

PING_EVERY_S, PINGS_MISSED = 10, 2
CONNECT_WITHIN_S = 5.0
FIRST_WITHIN_S = 30.0
RETRY_AFTER_S = (0.05, 0.2, 0.5, 1.0, 2.0)
LOOK_EVERY_S = 0.25

_log = structlog.get_logger()


class BusSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a process reaches NATS; read by `shared.settings.load` from `NATS_URL` and so on.

    `nats_url` may list several, joined by commas. `nats_readers` above 0 makes the names of
    short-lived consumers `<user>-r<n>` below it: a user whose permissions list them needs that.
    `nats_api` is where JetStream's API is found.
    """

    nats_url: str
    nats_user: str = ""
    nats_password: str = ""
    nats_ca_file: Path | None = None
    nats_readers: int = 0
    nats_api: str = "$JS.API"

    def __repr__(self) -> str:
        return f"BusSettings(nats_url={self.nats_url!r}, nats_user={self.nats_user!r})"

    def faults(self) -> list[str]:
        """See `shared.settings.Checked`."""
        if "@" in self.nats_url:
            return ["NATS_URL must hold no user or password: set NATS_USER and NATS_PASSWORD"]
        return []

    @property
    def urls(self) -> list[str]:
        """The servers; raises ConfigurationError when one carries a password."""
        if faults := self.faults():
            raise ConfigurationError(faults[0])
        return [url.strip() for url in self.nats_url.split(",")]


class Connection:
    """Always on the way to a living link."""

    def __init__(self, settings: BusSettings, name: str) -> None:
        self._settings, self._name = settings, name
        self._link: Link | None = None
        self._found = asyncio.Event()
        self._tries = 0
        self.on_link: list[Callable[[Link], Awaitable[None]]] = []
        self.on_loss: list[Callable[[], None]] = []

    @property
    def user(self) -> str:
        return self._settings.nats_user or self._name

    async def link(self, within_s: float = 5.0) -> Link:
        """The living link; raises NoAnswerError when there is none in time."""
        while self._link is None or self._link.lost.is_set():
            try:
                async with asyncio.timeout(within_s):
                    await self._found.wait()
            except TimeoutError:
                raise NoAnswerError("NATS is not reachable") from None
        return self._link

    async def keep(self) -> None:
        """Connect, and again whenever the link is lost; for ever."""
        while True:
            try:
                link = await self._connected()
            except (OSError, TimeoutError, nats.errors.Error) as error:
                await self._pause(error)
                continue
            try:
                await self._use(link)
            finally:
                self._drop(link)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep the connection inside the block; raises when the first link is not had in time."""
        keeping = asyncio.create_task(self.keep())
        try:
            first = asyncio.create_task(self.link(FIRST_WITHIN_S))
            await asyncio.wait({keeping, first}, return_when=asyncio.FIRST_COMPLETED)
            first.cancel() if keeping.done() else await first
            if keeping.done():
                keeping.result()
            yield
        finally:
            await ended(keeping)

    async def _use(self, link: Link) -> None:
        self._tries = 0
        metrics.CONNECTS.inc()
        for tell in self.on_link:
            await tell(link)
        self._link = link
        self._found.set()
        # The callbacks of nats-py come late when closing hangs on a half-open socket.
        while not link.lost.is_set() and link.client.is_connected:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await link.lost.wait()

    def _drop(self, link: Link) -> None:
        self._found.clear()
        self._link = None
        metrics.LOSSES.inc()
        for tell in self.on_loss:
            tell()
        link.lose()
        closing = asyncio.ensure_future(_closed(link.client))
        _background.add(closing)
        closing.add_done_callback(_background.discard)

    async def _connected(self) -> Link:
        client = Client()
        link = Link(client, self._settings.nats_api)

        async def lost() -> None:
            link.lost.set()

        async def error(problem: Exception) -> None:
            with suppress(Exception):  # what a callback raises would end nats-py's reading
                link.hear_error(problem)

        options = self._options()
        connecting = asyncio.ensure_future(
            client.connect(error_cb=error, disconnected_cb=lost, closed_cb=lost, **options)
        )
        done, _ = await asyncio.wait({connecting}, timeout=CONNECT_WITHIN_S + 1)
        if not done:
            connecting.cancel()
            raise TimeoutError
        connecting.result()
        return link

    def _options(self) -> dict[str, Any]:
        settings, urls = self._settings, self._settings.urls
        url = urls[self._tries % len(urls)]
        options: dict[str, Any] = {
            "servers": [url],
            "name": self._name,
            "allow_reconnect": False,
            "max_reconnect_attempts": 1,  # of the first connect; `keep` tries again for ever
            "reconnect_time_wait": 0,
            "connect_timeout": CONNECT_WITHIN_S,
            "ping_interval": PING_EVERY_S,
            "max_outstanding_pings": PINGS_MISSED,
            "inbox_prefix": f"_INBOX_{self.user}",
        }
        if settings.nats_user:
            options |= {"user": settings.nats_user, "password": settings.nats_password}
        if settings.nats_ca_file is not None:
            options["tls"] = ssl.create_default_context(cafile=str(settings.nats_ca_file))
        return options

    async def _pause(self, error: Exception) -> None:
        if isinstance(error, nats.errors.AuthorizationError):
            _log.error("nats_refused_login", user=self._settings.nats_user)
        pause_s = RETRY_AFTER_S[min(self._tries, len(RETRY_AFTER_S) - 1)]
        self._tries += 1
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load


_background: set[asyncio.Future[Any]] = set()


async def _closed(client: Client) -> None:
    with suppress(Exception):  # whatever closing a dead client says, nobody can use it
        await in_time(client.close(), CONNECT_WITHIN_S)
