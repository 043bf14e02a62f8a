"""One nats-py client from its CONNECT until it is lost, made safe to wait for."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.errors import APIError, NoStreamResponseError

from shared.bus.errors import BusForbiddenError, NoAnswerError
from shared.errors import InvalidInputError

_log = structlog.get_logger()
_REFUSED = re.compile(r'permissions violation for (?:publish|subscription) to "([^"]+)"', re.I)

T = TypeVar("T")


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
