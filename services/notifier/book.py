"""The channels and rules as they stood at any point of the log that somebody asks about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec

from services.notifier.rules import wants
from shared.bus import Bus, Delivery
from shared.bus.base import EVENTS
from shared.messages.settings import ChannelSetting, RuleSetting, SettingRemoved

_SETTINGS = ("cfg.channel.>", "cfg.rule.>")


class Kept(msgspec.Struct, frozen=True):
    """A setting, and the sequence at which it first stood: earlier facts are not its business."""

    setting: ChannelSetting | RuleSetting
    since: int


class Book:
    """Follows the settings. Only facts after a rule and its channel were made are wanted."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._kept: dict[tuple[str, str], Kept] = {}
        self._seen: set[str] = set()
        self._position = 0
        self._moved = asyncio.Condition()

    async def read(self) -> AsyncIterator[str]:
        """Keep the book, for ever; yields the id of each channel when it is seen first."""
        present = (await self._bus.state(EVENTS)).last_seq
        async for delivery in self._history():
            if (channel_id := self._write(delivery)) is not None:
                yield channel_id
        await self._move(present)
        # Facts too, so that the book knows how far it is although no setting changes.
        async for delivery in self._bus.follow(
            EVENTS, after_seq=present, filters=(*_SETTINGS, "evt.>")
        ):
            if (channel_id := self._write(delivery)) is not None:
                yield channel_id
            await self._move(delivery.seq)

    async def at_least(self, seq: int) -> None:
        """Wait until the book knows the settings that stood at `seq`."""
        async with self._moved:
            await self._moved.wait_for(lambda: self._position >= seq)

    def wanted(self, channel_id: str, fact_type: str, seq: int) -> ChannelSetting | None:
        """The channel, if it is on and a rule of it wants a fact of this type, said at `seq`."""
        channel = self._kept.get(("channel", channel_id))
        if channel is None or channel.since >= seq:
            return None
        assert isinstance(channel.setting, ChannelSetting)
        rules = [
            kept.setting
            for kept in self._kept.values()
            if isinstance(kept.setting, RuleSetting) and kept.since < seq
        ]
        wanted = channel.setting.enabled and wants(rules, channel_id, fact_type)
        return channel.setting if wanted else None

    async def _history(self) -> AsyncIterator[Delivery]:
        """Every change of a setting up to now."""
        last = [entry.seq for noun in _SETTINGS for entry in await self._bus.last_of(noun)]
        if not last:
            return
        async for delivery in self._bus.follow(EVENTS, after_seq=0, filters=_SETTINGS):
            yield delivery
            if delivery.seq >= max(last):
                return

    def _write(self, delivery: Delivery) -> str | None:
        """Note the setting in `delivery`, if it is one; the id of a channel not seen before."""
        if not delivery.subject.startswith("cfg."):
            return None
        message = delivery.message
        if isinstance(message, SettingRemoved):
            self._kept.pop((message.of, message.key), None)
            return None
        assert isinstance(message, ChannelSetting | RuleSetting)
        place = message.noun, message.key
        known = self._kept.get(place)
        self._kept[place] = Kept(message, known.since if known else delivery.seq)
        if isinstance(message, RuleSetting) or message.key in self._seen:
            return None
        self._seen.add(message.key)
        return message.key

    async def _move(self, seq: int) -> None:
        async with self._moved:
            self._position = max(self._position, seq)
            self._moved.notify_all()
