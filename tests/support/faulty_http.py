"""An HTTP proxy before a service that answers ill: late, short, wrong, or not at all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

from tests.support.listening import listening

_HEAD_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"(?im)^content-length: *(\d+)\r?$")


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of the requests whose method, target (`/path?query`) and headers match.

    `times`: so many of them, then none; for ever without it.
    """

    method: str
    target: str = ""
    asking: str = ""
    """Found in the headers of the request."""
    times: int | None = None
    status: int | None = None
    """Answered so, without asking the service."""
    delay_s: float = 0.0
    """The answer waits so long."""
    keep: int | None = None
    """So many bytes of the answer's body get through, then the connection ends ..."""
    reset: bool = False
    """... by a reset instead of in order ..."""
    told: bool = False
    """... or with a Content-Length that fits, as if this were all."""
    headers: dict[str, str] = {}
    """Of the answer, in the place of those of the same names."""
    swallow: bool = False
    """The service has done it, and nobody hears so."""

    def meets(self, method: str, target: str, headers: str) -> bool:
        return bool(
            re.fullmatch(self.method, method)
            and re.search(self.target, target)
            and self.asking in headers.lower()
        )


class FaultyHttp:
    """Passes each request on, over a connection of its own, and spoils the answers to some."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.port = 0
        self.spoilt = 0
        self._faults: list[Fault] = []
        self._left: list[int | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def spoil(self, *faults: Fault) -> None:
        """From now on these faults, and no others."""
        self._faults, self._left = [*faults], [fault.times for fault in faults]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request of a client."""
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(_HEAD_END)
            body = await reader.readexactly(_length(head) or 0)
            await self._answer(head, body, writer)
        writer.close()

    async def _answer(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        fault = self._next(head)
        if fault is None:
            writer.write(await self._asked(head, body))
        elif fault.status is not None:
            writer.write(_refusal(fault.status))
        else:
            answer = await self._asked(head, body)
            await asyncio.sleep(fault.delay_s)
            if fault.swallow:
                writer.transport.abort()
                return
            writer.write(_spoilt(answer, fault))
        await writer.drain()
        if fault is not None and fault.reset:
            writer.transport.abort()

    def _next(self, head: bytes) -> Fault | None:
        method, target, headers = head.decode("latin-1").split(" ", 2)
        for at, fault in enumerate(self._faults):
            if self._left[at] != 0 and fault.meets(method, target, headers):
                left = self._left[at]
                self._left[at] = None if left is None else left - 1
                self.spoilt += 1
                return fault
        return None

    async def _asked(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(_replaced(head, "Connection", "close") + body)
            await writer.drain()
            return await reader.read()
        finally:
            writer.close()


def _length(head: bytes) -> int | None:
    found = _LENGTH.search(head)
    return int(found.group(1)) if found else None


def _replaced(head: bytes, name: str, value: str) -> bytes:
    """The head of a request or answer with this header, and no other of its name."""
    lines = head.removesuffix(_HEAD_END).split(b"\r\n")
    prefix = f"{name.lower()}:".encode()
    others = [line for line in lines if not line.lower().startswith(prefix)]
    return b"\r\n".join([*others, f"{name}: {value}".encode()]) + _HEAD_END


def _spoilt(answer: bytes, fault: Fault) -> bytes:
    head, _, body = answer.partition(_HEAD_END)
    head += _HEAD_END
    for name, value in fault.headers.items():
        head = _replaced(head, name, value)
    if fault.keep is not None:
        body = body[: fault.keep]
    if fault.told:
        head = _replaced(head, "Content-Length", str(len(body)))
    return head + body


def _refusal(status: int) -> bytes:
    code = "SlowDown" if status == 503 else "InternalError"
    body = f"<Error><Code>{code}</Code><Message>ask again</Message></Error>".encode()
    return (
        f"HTTP/1.1 {status} Ill\r\nContent-Type: application/xml\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body


@asynccontextmanager
async def faulty_http(port: int) -> AsyncIterator[FaultyHttp]:
    """Such a proxy before `port` of this machine; it does no harm before it is told to."""
    passing = FaultyHttp(port)
    async with listening(passing.serve) as passing.port:
        yield passing
