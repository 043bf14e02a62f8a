"""Redis' protocol (RESP 2) on a connection that a runner reached: calls, pipelines, raw bytes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from services.executor.engines.base import (
    AccessDeniedError,
    BusyError,
    ConnectionLostError,
    EngineError,
    PermissionDeniedError,
    ServerFullError,
    TargetExistsError,
    TlsError,
    UnreachableError,
    VersionError,
)
from services.executor.engines.login import Login
from services.executor.runners.base import Session
from shared.addresses import NameUnknownError

CONNECT_TIMEOUT_S = 10
_LIMIT = 1 << 20

# What an error of the server begins with -> the error and its cause.
_ANSWERS: dict[str, tuple[type[EngineError], str]] = {
    "WRONGPASS": (AccessDeniedError, "the server refused the user or the password"),
    "NOAUTH": (AccessDeniedError, "the server wants a password"),
    "DENIED": (AccessDeniedError, "the server lets only its own machine in (protected mode)"),
    "ERR AUTH": (AccessDeniedError, "the server has no password, but one was given"),
    "ERR invalid password": (AccessDeniedError, "the server refused the password"),
    "NOPERM": (PermissionDeniedError, "the user may not use a command that the run needs"),
    "LOADING": (BusyError, "the server is still loading its data"),
    "MASTERDOWN": (BusyError, "the server is a replica that has lost its primary"),
    "NOMASTERLINK": (BusyError, "the server is a replica that has lost its primary"),
    "ERR max number of clients": (BusyError, "the server takes no further connections"),
    "OOM": (ServerFullError, "the server has no memory left (maxmemory)"),
    "MISCONF": (ServerFullError, "the server cannot write to its disk and refuses changes"),
    "BUSYKEY": (TargetExistsError, "a key exists already"),
    "ERR DUMP payload": (VersionError, "the target server is older than the backup's"),
    "ERR Bad data format": (VersionError, "the target server does not know a kind of value"),
    "READONLY": (PermissionDeniedError, "the server is a replica: nothing can be written to it"),
}


class RefusedError(EngineError):
    """The server answered a command with an error that no rule recognises."""

    code = "engine.refused"
    default_fix = "see the server's log, and that it is a version this release knows"


class Connection:
    """One connection. Nothing that the server answers stands in an error: it may be data."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def call(self, *words: str | bytes | int) -> Any:
        """The answer to one command: bytes, a number, a list, None."""
        (answer,) = await self.pipeline([words])
        return answer

    async def pipeline(self, commands: Sequence[Sequence[str | bytes | int]]) -> list[Any]:
        """The answers to many; the first error is raised once all were read."""
        with _named():
            self._writer.write(b"".join(map(_encoded, commands)))
            await self._writer.drain()
            answers = [await self._answer() for _ in commands]
        for answer in answers:
            if isinstance(answer, EngineError):
                raise answer
        return answers

    async def line(self) -> bytes:
        """One line, as it is; raises the error that it says."""
        with _named():
            line = (await self._reader.readuntil(b"\r\n"))[:-2]
        if line.startswith(b"-"):
            raise _error(line)
        return line

    async def piece(self, most: int) -> bytes:
        """Some of the bytes that come, at least one; raises ConnectionLostError at the end."""
        with _named():
            found = await self._reader.read(most)
        if not found:
            raise ConnectionLostError("the server ended the connection")
        return found

    async def say(self, *words: str | bytes | int) -> None:
        """Send a command, and leave its answer in the stream."""
        with _named():
            self._writer.write(_encoded(words))
            await self._writer.drain()

    async def _answer(self) -> Any:
        line = (await self._reader.readuntil(b"\r\n"))[:-2]
        kind, text = line[:1], line[1:]
        match kind:
            case b"+":
                return text
            case b"-":
                return _error(line)
            case b":":
                return int(text)
            case b"$":
                if int(text) < 0:
                    return None
                return (await self._reader.readexactly(int(text) + 2))[:-2]
            case b"*":
                return [await self._answer() for _ in range(max(0, int(text)))]
        raise RefusedError("what answers at the address does not speak Redis' protocol")


@asynccontextmanager
async def connected(login: Login, at: Session) -> AsyncIterator[Connection]:
    """A connection that has logged in, closed at the end whatever it is doing then."""
    try:
        async with _reached(login, at) as (addresses, port):
            reader, writer = await _opened(login, addresses, port)
            try:
                connection = Connection(reader, writer)
                if login.password:
                    user = [login.user] if login.user else []
                    await connection.call("AUTH", *user, login.password)
                await connection.call("PING")
                yield connection
            finally:
                writer.transport.abort()
    except NameUnknownError as error:
        raise UnreachableError(error.cause) from error


@asynccontextmanager
async def _reached(login: Login, at: Session) -> AsyncIterator[tuple[list[str], int]]:
    if _is_socket(login.host):
        yield [login.host], login.port
        return
    async with at.reach(login.host, login.port) as place:
        yield place


def _is_socket(address: str) -> bool:
    """That of an instance of ours: no setting can be a path."""
    return address.startswith("/")


def _connection(
    address: str, port: int
) -> Coroutine[Any, Any, tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    if _is_socket(address):
        return asyncio.open_unix_connection(address, limit=_LIMIT)
    return asyncio.open_connection(address, port, limit=_LIMIT)


async def _opened(
    login: Login, addresses: Sequence[str], port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    trust = _trust(login)
    refused: EngineError = UnreachableError("the name leads to no address")
    for address in addresses:
        try:
            with _named():
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    reader, writer = await _connection(address, port)
            if trust is not None:
                await _secured(writer, trust, login.host)
        except EngineError as error:
            refused = error
        else:
            return reader, writer
    raise refused


async def _secured(writer: asyncio.StreamWriter, trust: ssl.SSLContext, name: str) -> None:
    """The certificate is compared with the name, though the connection went to its address."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await writer.start_tls(trust, server_hostname=name)
    except (OSError, TimeoutError) as error:  # a server without TLS hangs up, or says nothing
        writer.transport.abort()
        raise TlsError("the server's certificate is not trusted, or it speaks no TLS") from error


def _trust(login: Login) -> ssl.SSLContext | None:
    if login.tls == "off":
        return None
    try:
        return ssl.create_default_context(cadata=login.ca_certificate or None)
    except (ssl.SSLError, ValueError) as error:
        raise TlsError("the certificate of the authority cannot be read") from error


@contextmanager
def _named() -> Iterator[None]:
    """Errors of the network as errors of the engine."""
    try:
        yield
    except ssl.SSLError as error:
        raise TlsError("the server's certificate is not trusted, or it speaks no TLS") from error
    except asyncio.IncompleteReadError as error:
        raise ConnectionLostError("the server ended the connection") from error
    except asyncio.LimitOverrunError as error:
        raise RefusedError("what answers at the address does not speak Redis' protocol") from error
    except (ConnectionResetError, BrokenPipeError) as error:
        raise ConnectionLostError("the server ended the connection") from error
    except TimeoutError as error:
        raise UnreachableError("nothing answers at the address in time") from error
    except OSError as error:
        raise UnreachableError("nothing listens at the address") from error


def _error(line: bytes) -> EngineError:
    text = line[1:].decode("utf-8", "replace")
    for beginning, (kind, cause) in _ANSWERS.items():
        if text.startswith(beginning):
            return kind(cause)
    return RefusedError(f"the server answered {text.split(' ', 1)[0][:40]!r} to a command")


def _encoded(words: Sequence[str | bytes | int]) -> bytes:
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)
