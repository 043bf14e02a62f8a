"""The connection to NATS: one short-lived client after another, for as long as the bus lives.

nats-py's own reconnecting can end for good or hang, so it is off: a lost client is thrown away
and a new one is made here, which every reader and writer notices at once.
"""

from __future__ import annotations

import asyncio
import random
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import APIError, NoStreamResponseError

from shared.bus.errors import BusForbiddenError, NoAnswerError
from shared.errors import InvalidInputError
from shared.settings import ConfigurationError

PING_EVERY_S, PINGS_MISSED = 10, 2
CONNECT_WITHIN_S = 5.0
FIRST_WITHIN_S = 30.0
RETRY_AFTER_S = (0.05, 0.2, 0.5, 1.0, 2.0)
LOOK_EVERY_S = 0.25

_log = structlog.get_logger()
_REFUSED = re.compile(r'permissions violation for (?:publish|subscription) to "([^"]+)"', re.I)

T = TypeVar("T")


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

    @property
    def urls(self) -> list[str]:
        """The servers; raises ConfigurationError when one carries a password."""
        urls = [url.strip() for url in self.nats_url.split(",")]
        if any("@" in url for url in urls):
            raise ConfigurationError("NATS_URL must hold no user or password")
        return urls


class Link:
    """One client from its CONNECT until it is lost; never connected again."""

    def __init__(self, client: Client, api: str) -> None:
        self.client, self.api = client, api
        self.lost = asyncio.Event()
        self._waiting: dict[Callable[[], None], str] = {}
        self._refused: set[Callable[[], None]] = set()

    async def run(self, subject: str, doing: Coroutine[Any, Any, T], timeout_s: float) -> T:
        """Await `doing` in a task of its own, so that no cancellation is ever swallowed.

        Raises NoAnswerError when it takes too long or the link is lost, BusForbiddenError when
        the server says that `subject` is not ours.
        """
        loop, task = asyncio.get_running_loop(), asyncio.ensure_future(doing)
        ended = loop.create_future()

        def end(_: object = None) -> None:
            if not ended.done():
                ended.set_result(None)

        task.add_done_callback(end)
        timer = loop.call_later(timeout_s, end)
        self._waiting[end] = subject
        try:
            if not self.lost.is_set():
                await ended
            self._raise_if_refused(end, subject)
            return _result(task, subject)
        finally:
            timer.cancel()
            del self._waiting[end]
            self._refused.discard(end)
            if not task.done():
                task.cancel()
            task.add_done_callback(_forget)

    async def request(
        self,
        subject: str,
        data: bytes = b"",
        *,
        headers: dict[str, str] | None = None,
        timeout_s: float = 5.0,
    ) -> Msg:
        """One question, one answer; raises as `run` does."""
        asking = self.client.request(subject, data, timeout=timeout_s, headers=headers)
        return await self.run(subject, asking, timeout_s)

    async def send(self, subject: str, data: bytes, **more: Any) -> None:
        """Publish without an answer; raises as `run` does."""
        await self.run(subject, self.client.publish(subject, data, **more), 5.0)

    def lose(self) -> None:
        """Wake everybody who waits for this link."""
        self.lost.set()
        for end in list(self._waiting):
            end()

    def hear_error(self, error: Exception) -> None:
        """Pass the server's refusal on to whoever asked; log everything else."""
        refused = _REFUSED.search(str(error))
        if refused is None:
            _log.warning("nats_error", error=f"{type(error).__name__}: {error}")
            return
        for end, subject in list(self._waiting.items()):
            if subject.lower() == refused[1].lower():  # nats-py says it in lower case
                self._refused.add(end)
                end()

    def _raise_if_refused(self, end: Callable[[], None], subject: str) -> None:
        if end in self._refused:
            raise BusForbiddenError(f"this user may not use {subject}")


def _result(task: asyncio.Future[T], subject: str) -> T:
    if not task.done() or task.cancelled():
        raise NoAnswerError(f"no answer on {subject}")
    try:
        return task.result()
    except nats.errors.MaxPayloadError:
        raise InvalidInputError("the message is larger than the server takes") from None
    except (APIError, InvalidInputError):
        raise
    except (TimeoutError, NoStreamResponseError, nats.errors.Error, OSError) as error:
        raise NoAnswerError(f"no answer on {subject}: {type(error).__name__}") from error


def _forget(task: asyncio.Future[Any]) -> None:
    """Take the result of an abandoned task, which asyncio would report as never retrieved."""
    if not task.cancelled():
        task.exception()


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
                await asyncio.wait_for(self._found.wait(), within_s)
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
            keeping.cancel()
            with suppress(asyncio.CancelledError, ConfigurationError):
                await keeping

    async def _use(self, link: Link) -> None:
        self._tries = 0
        for tell in self.on_link:
            await tell(link)
        self._link = link
        self._found.set()
        # The callbacks of nats-py come late when closing hangs on a half-open socket.
        while not link.lost.is_set() and link.client.is_connected:
            with suppress(TimeoutError):
                await asyncio.wait_for(link.lost.wait(), LOOK_EVERY_S)

    def _drop(self, link: Link) -> None:
        self._found.clear()
        self._link = None
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
        await asyncio.wait_for(client.close(), CONNECT_WITHIN_S)
