"""Which server a live message is about, and where that server stands."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Column, Row, Select, select

from services.gateway.grants import Place
from services.gateway.rights import Right
from shared.errors import PlatformError
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import backups, command_executions, databases, restores, runs, servers

MOST_REMEMBERED = 20_000


class Topic(msgspec.Struct, frozen=True, kw_only=True):
    """What a noun is about: the right to hear of it, and how its server is found.

    `field` of the message names a row whose column `server` names the server; without a column the
    field itself does. Without a field it belongs to no server.
    """

    right: Right
    field: str = ""
    server: Column[Any] | None = None


OUTPUT = Topic(right=Right.RUNS_READ, field="run_id", server=runs.c.server_id)
_OF_BACKUP = Topic(right=Right.BACKUPS_READ, field="backup_id", server=backups.c.server_id)
TOPICS: dict[str, Topic] = {
    "server": Topic(right=Right.SERVERS_READ, field="server_id"),
    "database": Topic(right=Right.DATABASES_READ, field="key", server=databases.c.server_id),
    "backup": _OF_BACKUP,
    "archive": _OF_BACKUP,
    "restore": Topic(
        right=Right.BACKUPS_READ,
        field="restore_id",
        server=restores.c.target_server_id,
    ),
    "run": OUTPUT,
    "execution": Topic(
        right=Right.RUNS_READ, field="execution_id", server=command_executions.c.server_id
    ),
    "dispatch": Topic(right=Right.SYSTEM_READ),
    "schedule": Topic(right=Right.SCHEDULES_READ),
    "group": Topic(right=Right.GROUPS_READ),
    "store": Topic(right=Right.STORES_READ),
    "policy": Topic(right=Right.POLICIES_READ),
    "blackout": Topic(right=Right.BLACKOUTS_READ),
    "objective": Topic(right=Right.OBJECTIVES_READ, field="server_id"),
    "command": Topic(right=Right.COMMANDS_READ),
    "channel": Topic(right=Right.NOTIFICATIONS_READ),
    "rule": Topic(right=Right.NOTIFICATIONS_READ),
    "template": Topic(right=Right.NOTIFICATIONS_READ),
    "notification": Topic(right=Right.NOTIFICATIONS_READ),
    "redelivery": Topic(right=Right.NOTIFICATIONS_READ),
    "service": Topic(right=Right.SYSTEM_READ),
    "platform": Topic(right=Right.SYSTEM_READ),
    "user": Topic(right=Right.USERS_READ),
    "api_key": Topic(right=Right.API_KEYS_READ),
    "key": Topic(right=Right.USERS_READ),
    "subscriber": Topic(right=Right.SYSTEM_READ),
    "log": Topic(right=Right.AUDIT_READ),
    "audit": Topic(right=Right.AUDIT_READ),
    "letter": Topic(right=Right.DLQ_READ),
}
"""Every noun of facts and settings; whoever adds one says here who may hear of it."""

UNKNOWN = Topic(right=Right.AUDIT_READ)


class Places:
    """Finds the place of each message once, whatever the number of listeners."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model
        self._servers: dict[str, Place] = {}
        self._server_of: OrderedDict[str, str] = OrderedDict()

    async def load(self) -> None:
        """Learn where all servers stand now."""
        query = select(servers.c.id, servers.c.environment, servers.c.group_ids)
        rows = await self._rows(query)
        self._servers = {row.id: Place(row.environment, tuple(row.group_ids)) for row in rows}

    async def of(self, topic: Topic, body: dict[str, Any]) -> Place | None:
        """Where the server stands that the message is about; None when there is none, or no more.

        Learns from settings of servers on the way.
        """
        if body.get("type") == "setting.server":
            place = Place(
                str(body.get("environment", "production")), tuple(body.get("group_ids", ()))
            )
            self._servers[str(body["key"])] = place
            return place
        if body.get("type") == "setting.removed" and body.get("of") == "server":
            return self._servers.pop(str(body["key"]), None)
        server_id = await self._server(topic, body)
        return self._servers.get(server_id) if server_id else None

    async def _server(self, topic: Topic, body: dict[str, Any]) -> str | None:
        named = body.get("target") or body.get("database")
        if isinstance(named, dict) and "server_id" in named:
            return str(named["server_id"])
        value = str(body.get(topic.field, ""))
        if topic.server is None:
            return value
        if value not in self._server_of:
            server_id = await self._looked_up(topic.server, value)
            if server_id is None:
                return None
            self._remember(value, server_id)
        return self._server_of[value]

    def _remember(self, thing: str, server_id: str) -> None:
        self._server_of[thing] = server_id
        while len(self._server_of) > MOST_REMEMBERED:
            self._server_of.popitem(last=False)

    async def _looked_up(self, column: Column[Any], value: str) -> str | None:
        try:
            key = UUID(value)
        except ValueError:
            return None
        rows = await self._rows(select(column).where(column.table.c.id == key))
        return str(rows[0][0]) if rows else None

    async def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        """Ask until there is an answer: a guess would show things to the wrong people."""
        while True:
            try:
                return await self._read_model.rows(query)
            except PlatformError:
                await asyncio.sleep(0.2)
