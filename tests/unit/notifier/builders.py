"""Settings and facts of the notifier's tests."""

from __future__ import annotations

from datetime import datetime
from uuid import uuid4

from cryptography.fernet import Fernet

from services.notifier.channels import AnyChannel
from services.notifier.rules import Listener, Rule, hearers
from shared.bus import Bus
from shared.bus.base import EVENTS
from shared.bus.memory import MemoryBus
from shared.keys.bucket import BusKeys
from shared.keys.plugins import seal_config
from shared.keys.vault import Vault
from shared.messages.base import Fact, Setting
from shared.messages.facts import BackupFailed
from shared.messages.settings import ChannelSetting, RuleSetting
from shared.messages.values import Problem
from shared.plugins import schemas_of
from tests.unit.notifier.receiver import SECRET

ENCRYPTION_KEY = Fernet.generate_key().decode()


def make_vault(bus: Bus) -> Vault:
    return Vault(BusKeys(bus), [ENCRYPTION_KEY])


def make_failed() -> BackupFailed:
    problem = Problem(code="database.missing", cause="no such database")
    return BackupFailed(backup_id=uuid4(), run_id=uuid4(), attempt=1, problem=problem)


class Folded:
    """The subscriptions as the settings on the bus say them; always up to date."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus

    async def hearers(self, fact: Fact, seq: int) -> list[Listener]:
        assert seq <= (await self._bus.state(EVENTS)).last_seq
        first: dict[str, datetime] = {}
        last: dict[str, Setting] = {}
        for one in self._bus.server.stream(EVENTS).under(["cfg.>"], 0):
            setting = one.message
            assert isinstance(setting, Setting)
            first.setdefault(one.subject, setting.at)
            last[one.subject] = setting
        listeners = [
            Listener(id=one.key, channel=one.channel, since=first[one.subject])
            for one in last.values()
            if isinstance(one, ChannelSetting) and one.enabled
        ]
        rules = [
            Rule(channel_id=one.channel_id, facts=one.facts, since=first[one.subject])
            for one in last.values()
            if isinstance(one, RuleSetting) and one.enabled
        ]
        return hearers(listeners, rules, fact)


async def make_channel(bus: Bus, channel_id: str, url: str) -> ChannelSetting:
    """A webhook as the gateway would store it: its secret sealed."""
    config = {"kind": "webhook", "url": url, "secret": SECRET}
    schema = schemas_of(AnyChannel)["webhook"]
    sealed = await seal_config(
        make_vault(bus), f"cfg.channel.{channel_id}", "channel", config, schema
    )
    return ChannelSetting(key=channel_id, name=channel_id, channel=sealed)


async def subscribe(bus: Bus, channel_id: str, url: str, *facts: str) -> None:
    """A channel with one rule."""
    await bus.append(await make_channel(bus, channel_id, url))
    await bus.append(
        RuleSetting(
            key=f"rule-{channel_id}",
            name=f"rule of {channel_id}",
            channel_id=channel_id,
            facts=[*(facts or ("backup.*",))],
        )
    )
