"""Settings and facts of the notifier's tests."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from cryptography.fernet import Fernet

from services.notifier.channels import AnyChannel
from services.notifier.rules import Listener, Rule, Subscription, Template, subscriptions
from shared.bus import Bus
from shared.bus.base import EVENTS
from shared.bus.memory import MemoryBus
from shared.keys.bucket import BusKeys
from shared.keys.plugins import seal_config
from shared.keys.vault import Vault
from shared.messages.base import Fact, Setting
from shared.messages.facts import BackupFailed, ChannelDisabled
from shared.messages.settings import ChannelSetting, RuleSetting, TemplateSetting
from shared.messages.values import Problem
from shared.messages.wire import decode
from shared.notices.about import NOTHING, About
from shared.plugins import schemas_of
from tests.unit.notifier.receiver import SECRET

ENCRYPTION_KEY = Fernet.generate_key().decode()


def make_vault(bus: Bus) -> Vault:
    return Vault(BusKeys(bus), [ENCRYPTION_KEY])


def make_failed(backup_id: UUID | None = None) -> BackupFailed:
    problem = Problem(code="database.missing", cause="no such database")
    return BackupFailed(backup_id=backup_id or uuid4(), run_id=uuid4(), attempt=1, problem=problem)


class Folded:
    """The subscriptions as the settings on the bus say them; always up to date."""

    def __init__(self, bus: MemoryBus, about: About = NOTHING) -> None:
        self._bus, self._about = bus, about

    async def to(self, fact: Fact, seq: int) -> list[Subscription]:
        assert seq <= (await self._bus.state(EVENTS)).last_seq
        first, last = self._settings()
        rules = [
            self._rule(one, first[one.subject])
            for one in last.values()
            if isinstance(one, RuleSetting) and one.enabled
        ]
        return subscriptions(self._listeners(), rules, fact)

    async def about(self, fact: Fact) -> About:
        return self._about

    async def channel(self, channel_id: str, seq: int) -> Listener | None:
        return next((one for one in self._listeners(on=False) if one.id == channel_id), None)

    async def listening(self, channel_id: str) -> Listener | None:
        return next((one for one in self._listeners() if one.id == channel_id), None)

    async def template(self, rule_id: str) -> Template | None:
        _, last = self._settings()
        setting = last.get(f"cfg.rule.{rule_id}")
        return (
            self._rule(setting, setting.at).template if isinstance(setting, RuleSetting) else None
        )

    async def fact(self, fact_id: UUID) -> Fact | None:
        for one in self._bus.server.stream(EVENTS).messages:
            message = decode(one.data)
            if isinstance(message, Fact) and message.id == fact_id:
                return message
        return None

    def _settings(self) -> tuple[dict[str, datetime], dict[str, Setting]]:
        first: dict[str, datetime] = {}
        last: dict[str, Setting] = {}
        for one in self._bus.server.stream(EVENTS).under(["cfg.>"], 0):
            setting = one.message
            assert isinstance(setting, Setting)
            first.setdefault(one.subject, setting.at)
            last[one.subject] = setting
        return first, last

    def _listeners(self, *, on: bool = True) -> list[Listener]:
        first, last = self._settings()
        both = ["cfg.channel.>", "evt.channel.>"]
        stored = [*self._bus.server.stream(EVENTS).under(both, 0)]
        seqs = {one.subject: one.seq for one in stored}
        off = {
            one.message.channel_id: one.message.version
            for one in stored
            if isinstance(one.message, ChannelDisabled)
        }
        return [
            Listener(
                id=one.key,
                channel=one.channel,
                since=first[one.subject],
                version=seqs[one.subject],
            )
            for one in last.values()
            if isinstance(one, ChannelSetting)
            and (not on or (one.enabled and off.get(one.key) != seqs[one.subject]))
        ]

    def _rule(self, one: RuleSetting, since: datetime) -> Rule:
        names = {field for field in Rule.__struct_fields__ if hasattr(one, field)}
        values = {name: getattr(one, name) for name in names - {"id"}}
        _, last = self._settings()
        words = last.get(f"cfg.template.{one.template_id}")
        template = None
        if isinstance(words, TemplateSetting):
            template = Template(title=words.title, body=words.body)
        return Rule(id=one.key, since=since, template=template, **values)


async def make_channel(
    bus: Bus, channel_id: str, url: str, kind: str = "webhook"
) -> ChannelSetting:
    """A channel as the gateway would store it: its secrets sealed."""
    config = {"kind": kind, "url": url}
    if kind == "webhook":
        config["secret"] = SECRET
    schema = schemas_of(AnyChannel)[kind]
    sealed = await seal_config(
        make_vault(bus), f"cfg.channel.{channel_id}", "channel", config, schema
    )
    return ChannelSetting(key=channel_id, name=channel_id, channel=sealed)


async def subscribe(
    bus: Bus, channel_id: str, url: str, *facts: str, kind: str = "webhook", **rule: Any
) -> None:
    """A channel with one rule."""
    await bus.append(await make_channel(bus, channel_id, url, kind))
    await bus.append(
        RuleSetting(
            key=f"rule-{channel_id}",
            name=f"rule of {channel_id}",
            channel_id=channel_id,
            facts=[*(facts or ("backup.*",))],
            **rule,
        )
    )
