"""The servers that are probed, as the read model knows them."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

import msgspec
from sqlalchemy import select

from shared.messages.settings import ServerSetting
from shared.readmodel.configured import server_of
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import servers


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A server; `version` changes with its setting."""

    id: UUID
    version: int
    setting: ServerSetting


class Servers(Protocol):
    """Where the health service looks for servers."""

    async def all(self) -> list[Watched]:
        """Every server there is; raises UnavailableError while that cannot be known."""


class ReadModelServers:
    """Servers from Postgres."""

    def __init__(self, read_model: ReadModel) -> None:
        self._read_model = read_model

    async def all(self) -> list[Watched]:
        rows = await self._read_model.rows(select(servers))
        return [
            Watched(id=UUID(row.id), version=row.version, setting=server_of(row)) for row in rows
        ]
