"""Orders: do this, once. Everything a worker needs is inside."""

from __future__ import annotations

from typing import TypeAlias
from uuid import UUID

import msgspec

from shared.messages.base import Order
from shared.messages.values import BackupType, Method, PluginConfig, TableContent


class OrderSecrets(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The sealed part of an order: plug-in settings in clear, and the keys of this order only."""

    runner: PluginConfig
    engine: PluginConfig
    store: PluginConfig | None = None
    archive_key: bytes | None = None

    def __repr__(self) -> str:
        return "OrderSecrets(***)"


class RunBackup(Order, frozen=True, kw_only=True):
    """Dump `database` and write an archive under `<store prefix>/<backup_id>/<attempt>/`."""

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


class RunRestore(Order, frozen=True, kw_only=True):
    """Read the archive at `prefix` and restore it into a new database `target`."""

    restore_id: UUID
    backup_id: UUID
    server_id: UUID
    target: str
    store_id: str
    prefix: str
    manifest_sha256: str
    trusted: str
    tables: list[TableContent] = []


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


AnyOrder: TypeAlias = RunBackup | RunRestore | TestServer | DiscoverServer | ProbeServer
