"""What of the settings only the keys of this installation open, for the looks that need it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TypeVar

import msgspec
from sqlalchemy import select

from services.launcher.installation import Installation
from shared.bus import Bus
from shared.keys.bucket import BusKeys
from shared.keys.plugins import open_config
from shared.keys.vault import Vault, encryption_keys
from shared.messages.base import Setting
from shared.messages.settings import ChannelSetting, StoreSetting
from shared.messages.values import PluginConfig
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import notification_channels, stores

_Setting = TypeVar("_Setting", bound=Setting)


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A configured thing with its secrets opened: in memory only, and in no finding."""

    id: str
    name: str
    config: PluginConfig

    def __repr__(self) -> str:
        return f"Opened(id={self.id!r}, name={self.name!r})"


class Settings:
    """Stores and channels as the log has them now. Raises PlatformError where one cannot be
    opened."""

    def __init__(self, bus: Bus, model: ReadModel, installation: Installation) -> None:
        keys = encryption_keys(installation.keys.encryption_key.read_text())
        self._bus, self._model, self._vault = bus, model, Vault(BusKeys(bus), keys)

    async def stores(self) -> AsyncIterator[Opened]:
        for row in await self._model.rows(select(stores.c.id).order_by(stores.c.name)):
            if one := await self._of(f"cfg.store.{row.id}", StoreSetting):
                yield await self._opened(row.id, one, "store", one.store)

    async def channels(self) -> AsyncIterator[Opened]:
        """Those that are sent to."""
        query = select(notification_channels.c.id).order_by(notification_channels.c.name)
        for row in await self._model.rows(query):
            one = await self._of(f"cfg.channel.{row.id}", ChannelSetting)
            if one and one.enabled:
                yield await self._opened(row.id, one, "channel", one.channel)

    async def _of(self, subject: str, kind: type[_Setting]) -> _Setting | None:
        last = await self._bus.last_of(subject)
        setting = last[-1].message if last else None
        return setting if isinstance(setting, kind) else None

    async def _opened(
        self, key: str, one: StoreSetting | ChannelSetting, path: str, sealed: PluginConfig
    ) -> Opened:
        config = await open_config(self._vault, one.subject, path, sealed)
        return Opened(id=key, name=one.name, config=config)
