"""Orders: do this, once. Everything a worker needs is inside."""

from __future__ import annotations

from typing import TypeAlias
from uuid import UUID

import msgspec

from shared.messages.base import Order
from shared.messages.values import BackupType, Check, Method, Pace, PluginConfig, TableContent


class ChainSecrets(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What opens one archive that another builds on; `store` only where it is another store, and
    `pace` is that one's."""

    archive_key: bytes
    store: PluginConfig | None = None
    pace: Pace | None = None

    def __repr__(self) -> str:
        return "ChainSecrets(***)"


class OrderSecrets(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The sealed part of an order: plug-in settings in clear, and the keys of this order only.

    A backup is sealed to the `passphrase`, too.
    """

    runner: PluginConfig
    engine: PluginConfig
    store: PluginConfig | None = None
    pace: Pace | None = None
    archive_key: bytes | None = None
    passphrase: str | None = None
    chain: list[ChainSecrets] = []

    def __repr__(self) -> str:
        return "OrderSecrets(***)"


class ChainPart(msgspec.Struct, frozen=True, kw_only=True):
    """One archive that another builds on, as it lies in a store. `copy_in`: the further store in
    which it is a copy; None for the archive in the backup's own store."""

    backup_id: UUID
    prefix: str
    manifest_sha256: str
    copy_in: str | None = None


class RunBackup(Order, frozen=True, kw_only=True):
    """Dump `database` and write an archive under `<store prefix>/<backup_id>/<attempt>/`.

    `chain` is what an increment is to build on, the parent first; the secrets hold their keys in
    the same order. Without it, or where it cannot be used, the backup becomes a full;
    `full_because` says why it is empty though an increment was wanted.
    """

    backup_id: UUID
    database_id: UUID
    server_id: UUID
    database: str
    store_id: str
    recipients: list[str]
    type_wanted: BackupType = BackupType.FULL
    method: Method = Method.LOGICAL
    codec: str = "zstd"
    checkpoint: str = ""
    chain: list[ChainPart] = []
    chain_id: UUID | None = None
    trusted: str = ""
    full_because: str = ""


class ArchiveOrder(Order, frozen=True, kw_only=True):
    """Read the archive at `prefix`.

    `chain` is what it builds on, its parent first; the secrets hold their keys in the same order.
    `copy_in` is as of a ChainPart.
    """

    restore_id: UUID
    backup_id: UUID
    server_id: UUID
    target: str
    store_id: str
    prefix: str
    manifest_sha256: str
    trusted: str
    tables: list[TableContent] = []
    chain: list[ChainPart] = []
    test: bool = False
    server_version: str = ""
    checks: list[Check] = []
    copy_in: str | None = None


class RunRestore(ArchiveOrder, frozen=True, kw_only=True):
    """Restore an archive into a new database `target`.

    A `test` goes into a throw-away instance of `server_version` on the worker's machine; `checks`
    are queries that it has to answer.
    """


class RunVerification(ArchiveOrder, frozen=True, kw_only=True):
    """Read an archive with its keys, compare all of it, and write it nowhere."""


class TestServer(Order, frozen=True, kw_only=True):
    """Connect to every endpoint and say which version answers. Sealed: one per endpoint."""

    server_id: UUID


class DiscoverServer(Order, frozen=True, kw_only=True):
    """List the databases of every endpoint."""

    server_id: UUID


class ProbeServer(Order, frozen=True, kw_only=True):
    """As TestServer, for the health service: the answer goes to KV `beats`, never to the log."""

    server_id: UUID


class ServerSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """The sealed part of an order about a whole server: endpoint name -> engine settings."""

    runner: PluginConfig
    engines: dict[str, PluginConfig]

    def __repr__(self) -> str:
        return "ServerSecrets(***)"


AnyOrder: TypeAlias = (
    RunBackup | RunRestore | RunVerification | TestServer | DiscoverServer | ProbeServer
)
