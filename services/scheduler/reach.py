"""Which databases a schedule reaches: by name, by group and by tag. Pure, in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

import msgspec

from shared.messages.settings import ScheduleSetting
from shared.messages.values import DatabaseRef


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """What a schedule needs to know of a server."""

    pool: str
    endpoints: frozenset[str]
    group_ids: frozenset[str]


class Reach:
    """The servers, and the databases and tags that are known of them."""

    def __init__(self) -> None:
        self._hosts: dict[UUID, Host] = {}
        self._databases: dict[UUID, DatabaseRef] = {}
        self._tagged: dict[str, set[UUID]] = defaultdict(set)
        self._on_host: dict[UUID, set[UUID]] = defaultdict(set)

    def put_host(self, server_id: UUID, host: Host) -> None:
        self._hosts[server_id] = host

    def remove_host(self, server_id: UUID) -> None:
        self._hosts.pop(server_id, None)

    def put_database(self, database: DatabaseRef) -> None:
        self._databases[database.id] = database
        self._on_host[database.server_id].add(database.id)

    def put_tags(self, database_id: UUID, tags: Iterable[str]) -> None:
        for tagged in self._tagged.values():
            tagged.discard(database_id)
        for tag in tags:
            self._tagged[tag].add(database_id)

    def of(self, setting: ScheduleSetting) -> list[tuple[DatabaseRef, str]]:
        """The databases of a schedule that can be reached, each once, with their pools."""
        found = []
        for database_id in sorted(self._meant(setting)):
            database = self._databases.get(database_id)
            host = self._hosts.get(database.server_id) if database else None
            if database and host and database.endpoint in host.endpoints:
                found.append((database, host.pool))
        return found

    def _meant(self, setting: ScheduleSetting) -> set[UUID]:
        ids, groups = set(named(setting)), set(setting.group_ids)
        for tag in setting.tags:
            ids |= self._tagged.get(tag, set())
        for server_id, host in self._hosts.items() if groups else ():
            if host.group_ids & groups:
                ids |= self._on_host.get(server_id, set())
        return ids


def named(setting: ScheduleSetting) -> frozenset[UUID]:
    """The databases that a schedule has by name."""
    return frozenset(UUID(one) for one in setting.database_ids)
