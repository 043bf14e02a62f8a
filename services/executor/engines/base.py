"""What an engine promises: how one kind of database server is dumped, restored and asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from http import HTTPStatus
from typing import Protocol, TypeAlias
from uuid import UUID

import msgspec

from services.executor.runners.base import OnLine, Session
from shared.errors import PlatformError
from shared.messages.values import TableContent

Bytes: TypeAlias = AsyncIterator[bytes | bytearray]
ANSWER_CHARS = 200


class EngineError(PlatformError):
    """The database server, or a tool that speaks to it, did not do what it was asked to."""

    code = "engine.failed"
    status = HTTPStatus.BAD_GATEWAY


class UnreachableError(EngineError):
    """Nothing answers at the address."""

    code = "engine.unreachable"
    default_fix = "check host, port, firewall, and that the database server runs"


class AccessDeniedError(EngineError):
    """The server does not accept the user or the password."""

    code = "engine.access_denied"
    default_fix = "check user and password, and that the server lets this host in"


class TlsError(EngineError):
    """The connection cannot be trusted, or the server offers no encryption."""

    code = "engine.tls"
    default_fix = (
        "give the certificate of the server's authority, connect by the name in its certificate, "
        "or turn TLS off for this server"
    )


class DatabaseMissingError(EngineError):
    """The server has no database of this name."""

    code = "engine.database_missing"
    default_fix = "check the name; `holdfast db list` shows what the server has"


class PermissionDeniedError(EngineError):
    """The user may log in, but not read or write what the run needs."""

    code = "engine.permission_denied"
    default_fix = "grant the missing rights; reading everything needs e.g. pg_read_all_data"


class BusyError(EngineError):
    """The server takes no further connection, or is starting or stopping."""

    code = "engine.busy"
    default_fix = "try again later, or raise the server's connection limit"


class LockedError(EngineError):
    """Somebody held a lock for longer than the run waits."""

    code = "engine.locked"
    default_fix = "run it when no schema change is under way"


class ConnectionLostError(EngineError):
    """The server went away while the run was under way."""

    code = "engine.connection_lost"
    default_fix = "see the server's log for a restart or crash, then run it again"


class ServerFullError(EngineError):
    """The database server has no space left."""

    code = "engine.no_space"
    default_fix = "free space on the database server, then run it again"


class RequirementMissingError(EngineError):
    """The target server lacks something the backup needs: a role, an extension, a locale."""

    code = "engine.requirement_missing"


class ToolMissingError(EngineError):
    """No client tool of the server's version is installed where the runner looks."""

    code = "engine.tool_missing"


class ToolFailedError(EngineError):
    """The tool ended with an error that no rule recognises."""

    code = "engine.tool_failed"
    default_fix = "see the run's log for what the tool said"


class ToolKilledError(EngineError):
    """Something killed the tool."""

    code = "engine.tool_killed"
    default_fix = "look for the out-of-memory killer in the system's log, then run it again"


class VersionError(EngineError):
    """The target server is older than the one the backup was taken from."""

    code = "engine.version"
    default_fix = "restore into a server of the same or a newer version"


class NotADumpError(EngineError):
    """What the archive holds is not what this engine writes."""

    code = "engine.not_a_dump"
    default_fix = "restore it with the engine it was made with"


class TargetExistsError(EngineError):
    """A restore only ever writes into a new database."""

    code = "restore.target_exists"
    status = HTTPStatus.CONFLICT
    default_fix = "choose another name, or drop the existing database"


class ContentDiffersError(EngineError):
    """The restored tables do not hold what the backup recorded."""

    code = "restore.content_differs"
    default_fix = "verify the backup, and look for something that writes into new databases"


class CheckRefusedError(EngineError):
    """The engine cannot ask what a check wants to know."""

    code = "restore.check_refused"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A database on a server; `size_bytes` is None where the user may not know."""

    name: str
    size_bytes: int | None = None


class DumpFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when a dump has begun. `estimated_bytes`: the size of the raw dump, roughly.

    `identity` is what tells this server from any other (a system identifier, a server's uuid), as
    far as the user may know it.
    """

    identity: str = ""
    tool: str
    tool_version: str
    server_version: str
    consistency_point: str
    taken_at: datetime
    estimated_bytes: int | None = None


class Dump(Protocol):
    """A dump under way."""

    @property
    def facts(self) -> DumpFacts: ...

    def output(self) -> Bytes:
        """The dump, once, with back-pressure up to the tool."""
        ...

    async def ended(self) -> None:
        """After the output: raise unless the tool ended well and the content was recorded."""
        ...

    @property
    def tables(self) -> list[TableContent]:
        """After `ended`: what every table held at the dump's own snapshot."""
        ...


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where a restore goes, and what must stand there in the end. `restore_id` marks it."""

    database: str
    restore_id: UUID
    tables: Sequence[TableContent] = ()


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the target now, counted or hashed after the restore."""

    raw_bytes: int
    tables: list[TableContent]


class Questions(Protocol):
    """Queries to a restored database, one at a time."""

    async def ask(self, query: str, within_s: float) -> list[str | None]:
        """The first column of the first two rows, as text, each cut to `ANSWER_CHARS`.

        Nothing can be written. Raises an EngineError when the query fails or takes longer.
        """
        ...


class Engine(Protocol):
    """One kind of database server. A frozen tagged struct: its fields are the configuration.

    Every method raises an `EngineError` (or `RunnerError`) that names cause and fix.
    """

    async def test(self, at: Session) -> str:
        """Log in, and return the server's version."""
        ...

    async def databases(self, at: Session) -> list[Found]:
        """The databases that can be dumped, by name."""
        ...

    def dump(
        self, at: Session, database: str, *, on_line: OnLine | None = None
    ) -> AbstractAsyncContextManager[Dump]:
        """Begin a dump of one consistent moment; at the end of the block nothing runs any more."""
        ...

    async def restore(
        self, at: Session, target: Target, source: Bytes, *, on_line: OnLine | None = None
    ) -> Restored:
        """Create `target.database` from a dump, check it, and only then let it be seen.

        A target that this very restore finished before is checked again and returned; any other
        existing database is a `TargetExistsError`. On any error or cancellation nothing stays.
        """
        ...

    def throw_away(
        self, at: Session, server_version: str, *, on_line: OnLine | None = None
    ) -> AbstractAsyncContextManager[Engine]:
        """An empty instance of this major version on the session's machine, in a sandbox and
        reachable by us alone; at the end of the block nothing of it is left. `on_line` hears what
        the sandbox lacks on this machine. Raises ToolMissingError without a server.
        """
        ...

    def questions(self, at: Session, database: str) -> AbstractAsyncContextManager[Questions]:
        """Ask a database of a throw-away instance, as somebody who can only read."""
        ...

    async def undo_restore(self, at: Session, target: Target) -> Restored | None:
        """Remove what an interrupted restore of the same id left behind; repeatable.

        A target that it had finished stays and is returned: somebody may use it already.
        """
        ...
