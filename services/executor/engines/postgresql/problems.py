"""What PostgreSQL's answers and its tools' last words mean: one table each."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from services.executor.engines.base import (
    AccessDeniedError,
    BusyError,
    ConnectionLostError,
    DatabaseMissingError,
    EngineError,
    LockedError,
    PermissionDeniedError,
    RequirementMissingError,
    ServerFullError,
    TargetExistsError,
    TlsError,
    ToolFailedError,
    ToolKilledError,
    UnreachableError,
)
from services.executor.runners.base import Exit
from shared.errors import PlatformError

# SQLSTATE, or its class of two characters -> the error and its cause.
_STATES: dict[str, tuple[type[EngineError], str]] = {
    "28P01": (AccessDeniedError, "the server refused the password"),
    "28": (AccessDeniedError, "the server does not let this user in from here"),
    "3D000": (DatabaseMissingError, "the server has no database of this name"),
    "42P04": (TargetExistsError, "a database of this name exists already"),
    "42501": (PermissionDeniedError, "the user may not read or write something the run needs"),
    "42704": (RequirementMissingError, "the server lacks something the run needs"),
    "53300": (BusyError, "the server takes no further connections"),
    "53100": (ServerFullError, "the database server's disk is full"),
    "55P03": (LockedError, "somebody holds a lock on a table"),
    "55006": (BusyError, "somebody uses a database that the run must change"),
    "57P03": (BusyError, "the server is starting or stopping"),
    "57": (ConnectionLostError, "the server ended the connection"),
    "08": (ConnectionLostError, "the connection to the server broke"),
}

# In the tool's standard error; the first that fits. Servers may speak other languages, so the
# engine connects by itself first, where errors carry codes.
_WORDS: tuple[tuple[str, type[EngineError], str], ...] = (
    ("password authentication failed", AccessDeniedError, "the server refused the password"),
    ("no pg_hba.conf entry", AccessDeniedError, "the server does not let this user in from here"),
    (
        "server closed the connection|terminating connection|connection to server was lost"
        "|no connection to the server|SSL SYSCALL error|could not receive data from server",
        ConnectionLostError,
        "the server ended the connection",
    ),
    ("lock timeout|due to statement timeout", LockedError, "a table stayed locked for too long"),
    (
        "permission denied|must be owner of|must be superuser|row-level security",
        PermissionDeniedError,
        "the user may not read or write something the run needs",
    ),
    ("too many clients|remaining connection slots", BusyError, "the server is out of connections"),
    ("is (starting up|shutting down)", BusyError, "the server is starting or stopping"),
    ("No space left on device|could not extend file", ServerFullError, "the server's disk is full"),
    ('role "[^"]*" does not exist', RequirementMissingError, "the server lacks a role"),
    (
        "extension .* is not available|could not open extension control file",
        RequirementMissingError,
        "the server lacks an extension",
    ),
    ("certificate verify failed|server does not support SSL|SSL error", TlsError, "TLS failed"),
    (
        "could not connect|Connection refused|could not translate host name|timeout expired",
        UnreachableError,
        "the server does not answer",
    ),
    ('database "[^"]*" does not exist', DatabaseMissingError, "the database is not there"),
)

_FIXES: dict[type[EngineError], str] = {
    RequirementMissingError: "create the missing role, install the extension or locale named in "
    "the run's log, or restore without owners and grants",
}


@contextmanager
def named_errors() -> Iterator[None]:
    """Turn what the driver raises into an `EngineError`; others pass."""
    import asyncpg

    try:
        yield
    except PlatformError:
        raise
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise _of_driver(error) from error
    except asyncio.IncompleteReadError as error:
        raise ConnectionLostError("the connection to the server broke") from error


def of_tool(tool: str, ended: Exit) -> EngineError:
    """Why a tool that did not end well failed."""
    if ended.signal is not None:
        return ToolKilledError(f"{tool} was killed by signal {ended.signal}")
    for words, kind, cause in _WORDS:
        if re.search(words, ended.errors, re.IGNORECASE):
            return kind(cause, fix=_FIXES.get(kind))
    return ToolFailedError(f"{tool} ended with status {ended.status}")


def _of_driver(error: Exception) -> EngineError:
    import asyncpg

    if isinstance(error, asyncpg.PostgresError) and error.sqlstate:
        state = error.sqlstate
        for prefix in (state, state[:2]):
            if prefix in _STATES:
                kind, cause = _STATES[prefix]
                return kind(cause, fix=_FIXES.get(kind))
        return EngineError(f"the server refused a statement (SQLSTATE {state})")
    if isinstance(error, ssl.SSLError) or "SSL" in str(error):
        return TlsError(f"no trusted TLS connection: {_tls_reason(error)}")
    if isinstance(error, asyncpg.InterfaceError | asyncpg.ConnectionDoesNotExistError):
        return ConnectionLostError("the connection to the server broke")
    return UnreachableError("the server does not answer")


def _tls_reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return "the server does not offer it" if "rejected" in str(error) else "the handshake failed"
