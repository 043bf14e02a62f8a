"""Questions to JetStream's own API, as raw JSON so that each uses exactly one subject."""

from __future__ import annotations

from typing import Any

import msgspec

from shared.bus.errors import BusRefusedError, NoAnswerError
from shared.bus.link import Link

NANOSECONDS = 1_000_000_000
CONSUMER_EXISTS = frozenset({10013, 10105, 10148})


class ApiError(BusRefusedError):
    """An error answer of JetStream's API; `number` is the server's `err_code`."""

    code = "bus.refused"

    def __init__(self, cause: str, *, number: int) -> None:
        super().__init__(cause)
        self.number = number


class Source(msgspec.Struct, frozen=True):
    """One consumer of the server: its name, its stream and its single filter."""

    consumer: str
    stream: str
    pattern: str


async def ask_api(link: Link, what: str, body: Any = None) -> dict[str, Any]:
    """Ask `$JS.API.<what>`; raises ApiError, or NoAnswerError where trying again may help."""
    data = b"" if body is None else msgspec.json.encode(body)
    answer = await link.request(f"{link.api}.{what}", data)
    if answer.headers and answer.headers.get("Status"):
        raise NoAnswerError(f"JetStream does not answer {what}")
    found: dict[str, Any] = msgspec.json.decode(answer.data)
    error = found.get("error")
    if error is None:
        return found
    if error.get("code", 0) >= 500:
        raise NoAnswerError(f"JetStream cannot answer {what}: {error.get('description')}")
    raise ApiError(f"{what}: {error.get('description')}", number=error.get("err_code", 0))


async def create_consumer(
    link: Link, source: Source, config: dict[str, Any], *, action: str = "create"
) -> dict[str, Any]:
    """Create a consumer, its filter in the subject: the only form that permissions can check.

    `action` is `create`, or empty to change an existing one. Returns the server's words about it.
    """
    body = {
        "stream_name": source.stream,
        "config": {**config, "name": source.consumer, "filter_subject": source.pattern},
        "action": action,
    }
    where = f"{source.stream}.{source.consumer}.{source.pattern}"
    return await ask_api(link, f"CONSUMER.CREATE.{where}", body)
