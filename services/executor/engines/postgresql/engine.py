"""The engine `postgresql`: its settings, and what it can do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from services.executor.engines.base import Bytes, Dump, Engine, Found, Questions, Restored, Target
from services.executor.engines.postgresql.connection import connected
from services.executor.engines.postgresql.content import ContentCheck
from services.executor.engines.postgresql.dump import dumping
from services.executor.engines.postgresql.questions import asking
from services.executor.engines.postgresql.restore import Options, Restore
from services.executor.engines.postgresql.throw_away import USER, instance
from services.executor.runners.base import OnLine, Session

_DATABASES = """
select datname as name, case when has_database_privilege(datname, 'connect')
    then pg_database_size(oid) end as size_bytes
from pg_database where datallowconn and not datistemplate order by datname
"""

Secret = Annotated[
    str,
    Meta(title="Password", pattern=r"^[^\x00\r\n]*$(?!\n)", extra_json_schema={"writeOnly": True}),
]


class Postgresql(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag="postgresql",
    tag_field="kind",
    forbid_unknown_fields=True,
):
    """A PostgreSQL server, reached over the network. TLS is verified unless it is turned off."""

    label: ClassVar[str] = "PostgreSQL"

    host: Annotated[str, Meta(title="Host", pattern=r"^[A-Za-z0-9:][A-Za-z0-9._:-]*$(?!\n)")]
    port: Annotated[int, Meta(title="Port", ge=1, le=65535)] = 5432
    user: Annotated[str, Meta(title="User", min_length=1, pattern=r"^[^\x00-\x1f]*$(?!\n)")]
    password: Secret = ""
    tls: Annotated[Literal["verify-full", "off"], Meta(title="TLS")] = "verify-full"
    ca_certificate: Annotated[
        str, Meta(title="Certificate of the authority", description="PEM; empty: the system's")
    ] = ""
    maintenance_database: Annotated[
        str, Meta(title="Database to log in to", min_length=1, pattern=r"^[^\x00-\x1f]*$(?!\n)")
    ] = "postgres"
    content_check: Annotated[
        ContentCheck,
        Meta(title="Record at a backup, compare after a restore"),
    ] = ContentCheck.COUNTS
    keep_owners: Annotated[bool, Meta(title="Restore owners and grants")] = True
    analyze_after_restore: Annotated[bool, Meta(title="Gather statistics after a restore")] = True

    def __repr__(self) -> str:
        return f"Postgresql(host={self.host!r}, port={self.port}, user={self.user!r})"

    async def test(self, at: Session) -> str:
        async with connected(self, at, self.maintenance_database) as connection:
            (row,) = await connection.rows("select current_setting('server_version') as version")
            return str(row["version"])

    async def databases(self, at: Session) -> list[Found]:
        async with connected(self, at, self.maintenance_database) as connection:
            return [Found(**row) for row in await connection.rows(_DATABASES)]

    def dump(
        self, at: Session, database: str, *, on_line: OnLine | None = None
    ) -> AbstractAsyncContextManager[Dump]:
        return dumping(self, at, database, self.content_check, on_line)

    async def restore(
        self, at: Session, target: Target, source: Bytes, *, on_line: OnLine | None = None
    ) -> Restored:
        return await self._restore(at, target).run(source, on_line)

    @asynccontextmanager
    async def throw_away(
        self, at: Session, server_version: str, *, on_line: OnLine | None = None
    ) -> AsyncIterator[Engine]:
        """It has no roles but its own, so owners and grants are left out."""
        async with instance(at, server_version, on_line) as made:
            yield msgspec.structs.replace(
                self,
                host=made.host,
                port=made.port,
                user=USER,
                password=made.password,
                tls="off",
                maintenance_database="postgres",
                keep_owners=False,
                analyze_after_restore=False,
            )

    def questions(self, at: Session, database: str) -> AbstractAsyncContextManager[Questions]:
        return asking(self, at, database)

    async def undo_restore(self, at: Session, target: Target) -> Restored | None:
        return await self._restore(at, target).undo()

    def _restore(self, at: Session, target: Target) -> Restore:
        options = Options(keep_owners=self.keep_owners, analyze=self.analyze_after_restore)
        return Restore(self, at, target, self.maintenance_database, options)
