"""The values that messages are made of."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, TypeAlias
from uuid import UUID, uuid5

import msgspec

PluginConfig: TypeAlias = dict[str, Any]
"""A plug-in's settings as JSON: `kind`, its fields, secret fields as sealed tokens."""


class BackupType(StrEnum):
    """How much of the database the archive holds by itself."""

    FULL = "full"
    INCREMENTAL = "incremental"
    DIFFERENTIAL = "differential"


class Method(StrEnum):
    """Logical: a dump of the content. Physical: the files of the server."""

    LOGICAL = "logical"
    PHYSICAL = "physical"


class Role(StrEnum):
    """What an account may do; the table of rights is the gateway's."""

    ADMIN = "admin"
    OPERATOR = "operator"
    VIEWER = "viewer"


class Grant(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A role within a scope: servers of these environments or groups; neither named: all.

    `without` names rights that the role has and this grant has not.
    """

    role: Role
    environments: list[str] = []
    group_ids: list[str] = []
    without: list[str] = []


class HoldKind(StrEnum):
    """Who may lift a hold: whoever may hold, or an administrator only."""

    HOLD = "hold"
    LEGAL = "legal"


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Why a backup may neither expire nor be deleted; without `until` somebody has to release it.

    `actor` laid it on the backup at `at`.
    """

    kind: HoldKind
    reason: str
    until: datetime | None = None
    actor: str
    at: datetime


class Health(StrEnum):
    """What the last probe of a server said."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNREACHABLE = "unreachable"


class Severity(StrEnum):
    """How much a fact should worry somebody, in rising order."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class QuietHours(msgspec.Struct, frozen=True, kw_only=True):
    """Each day from `begins` to `ends` (HH:MM in `time_zone`, IANA), over midnight if need be."""

    begins: str
    ends: str
    time_zone: str = "UTC"


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """One message a day, or a week, at `at` (HH:MM in `time_zone`); `weekday` from 0, a Monday."""

    every: Literal["day", "week"]
    at: str = "08:00"
    weekday: int = 0
    time_zone: str = "UTC"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why something failed: a stable code, one sentence, the likely fix; never tool output."""

    code: str
    cause: str
    fix: str = ""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One engine on a server: `name` tells apart two engines of one server."""

    name: str
    engine: PluginConfig


class DatabaseRef(msgspec.Struct, frozen=True, kw_only=True):
    """Which database, by the names an operator knows."""

    server_id: UUID
    endpoint: str
    name: str

    @property
    def id(self) -> UUID:
        """uuid5 of server, endpoint and name."""
        return uuid5(self.server_id, f"{self.endpoint}\n{self.name}")


class FoundDatabase(msgspec.Struct, frozen=True, kw_only=True):
    """A database that a discovery saw on an endpoint."""

    endpoint: str
    name: str
    size_bytes: int | None = None


class Pace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many bytes a second a process sends to a store, and fetches from it, at most."""

    store_id: str
    upload_bytes_s: int | None = None
    download_bytes_s: int | None = None


class AuditHandover(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The audit log goes over to another key; both keys and signatures are hex.

    `size`: the old key has signed for so many entries, and signs for no more.
    """

    origin: str
    old: str
    new: str
    size: int
    at: str
    old_signature: str = ""
    new_signature: str = ""


class TableContent(msgspec.Struct, frozen=True, kw_only=True):
    """What a table held at the dump's snapshot: rows, and an order-free hash of them."""

    name: str
    rows: int
    sha256: str = ""


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A query that a restored database has to answer as expected, by its first column.

    `expected` is the text of the only row's value, `at_least` a number that it must reach; with
    neither, there has to be a row. `database_ids` narrows it to these databases.
    """

    name: str
    query: str
    expected: str | None = None
    at_least: float | None = None
    database_ids: list[str] = []

    @property
    def wanted(self) -> str:
        """What it expects, in words."""
        if self.expected is not None:
            return f"= {self.expected}"
        return f">= {self.at_least:g}" if self.at_least is not None else "a row"


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a restored database answered; `got` is cut to a line."""

    name: str
    passed: bool
    wanted: str
    got: str
    seconds: float


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """One object of an archive."""

    name: str
    size_bytes: int
    sha256: str


class ArchiveFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a finished archive without opening it."""

    raw_bytes: int
    stored_bytes: int
    manifest_sha256: str
    codec: str
    tool: str
    tool_version: str
    server_version: str
    consistency_point: str = ""
    taken_at: datetime
    tables: list[TableContent] = []
    objects: list[StoredObject] = []
    recipients: list[str] = []
