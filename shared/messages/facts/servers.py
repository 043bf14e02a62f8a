"""Facts about servers."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from shared.messages.base import Fact, Key
from shared.messages.values import (
    FoundDatabase,
    Health,
    Problem,
)


class ServerFact(Fact, frozen=True, kw_only=True):
    """About one server."""

    KEYED_BY: ClassVar[str] = "server_id"
    server_id: UUID


class ServerTestRequested(ServerFact, frozen=True, kw_only=True):
    """Somebody wants to know whether the platform reaches the server's engines."""

    run_id: UUID
    run_pool: Key


class ServerTested(ServerFact, frozen=True, kw_only=True):
    """The answer to a test: the version of each endpoint, or why it cannot be used."""

    run_id: UUID
    versions: dict[str, str] = {}
    problem: Problem | None = None


class ServerDiscoveryRequested(ServerFact, frozen=True, kw_only=True):
    """Somebody wants the list of databases on the server."""

    run_id: UUID
    run_pool: Key


class ServerDiscovered(ServerFact, frozen=True, kw_only=True):
    """The databases on the server's endpoints, or why they cannot be listed."""

    run_id: UUID
    databases: list[FoundDatabase] = []
    problem: Problem | None = None


class ServerHealthChanged(ServerFact, frozen=True, kw_only=True):
    """The judgement of a server differs from the last one."""

    health: Health
    was: Health
    problem: Problem | None = None
