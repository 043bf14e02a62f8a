"""The store and the channels that the environment describes: made once, at the first start.

Afterwards each is one like any other: what people change or delete stays so, whatever the
environment says. With the channels comes a rule, so that trouble is told from the first day.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid5

import msgspec
import structlog

from services.gateway import claims
from services.gateway.appending import land
from services.gateway.dependencies import Dependencies
from services.gateway.errors import NameTakenError, NotAnnouncedError
from services.gateway.plugin_configs import accepted, sealed
from services.gateway.settings import Defaults
from shared.bus import Draft, Expect, WrongSequenceError
from shared.errors import InvalidInputError, PlatformError
from shared.keys.plugins import keys_of
from shared.messages.settings import AnySetting, ChannelSetting, RuleSetting, StoreSetting
from shared.messages.values import PluginConfig, Severity

ACTOR = "service:gateway"
NAMESPACE = UUID("6f6c6466-6173-5f74-8000-64656661756c")
NAME = "default"
TROUBLE = [
    f"{noun}.*"
    for noun in (
        *("backup", "restore", "archive", "schedule", "objective"),
        *("server", "store", "service", "log", "channel"),
    )
]
AGAIN_S = 1.0

_log = structlog.get_logger()


class Default(msgspec.Struct, frozen=True, kw_only=True):
    """A thing to make; its ids are the same at every start and on every replica."""

    noun: str
    name: str = NAME
    config: PluginConfig

    def __repr__(self) -> str:
        return f"Default(noun={self.noun!r}, name={self.name!r})"

    @property
    def key(self) -> str:
        about = self.noun if self.name == NAME else f"{self.noun}/{self.name}"
        return str(uuid5(NAMESPACE, about))


def wanted(defaults: Defaults) -> list[Default]:
    """What the environment describes."""
    return [*_store(defaults), *_mail(defaults), *_slack(defaults)]


def _store(defaults: Defaults) -> list[Default]:
    if not defaults.s3_bucket:
        return []
    store = {
        "kind": "s3",
        "bucket": defaults.s3_bucket,
        "access_key_id": defaults.s3_access_key,
        "secret_access_key": defaults.s3_secret_key,
        "endpoint": defaults.s3_endpoint,
        "region": defaults.s3_region,
        "allow_http": defaults.s3_allow_http,
    }
    return [Default(noun="store", config=store)]


def _mail(defaults: Defaults) -> list[Default]:
    if not defaults.smtp_host:
        return []
    channel = {
        "kind": "email",
        "host": defaults.smtp_host,
        "port": defaults.smtp_port,
        "security": defaults.smtp_security,
        "username": defaults.smtp_username,
        "password": defaults.smtp_password,
        "sender": defaults.smtp_from,
        "recipients": defaults.smtp_to,
        "allow_private": defaults.smtp_allow_private,
    }
    return [Default(noun="channel", name="mail", config=channel)]


def _slack(defaults: Defaults) -> list[Default]:
    if not defaults.slack_webhook_url:
        return []
    channel = {"kind": "slack", "url": defaults.slack_webhook_url}
    return [Default(noun="channel", name="slack", config=channel)]


async def make_defaults(deps: Dependencies, defaults: Defaults) -> None:
    """Make what was never made; waits for the services that know the plug-ins."""
    for default in wanted(defaults):
        await _until(lambda: make(deps, default), f"{default.noun} {default.name}")  # noqa: B023
        if default.noun == "channel":
            await _until(lambda: make_rule(deps, default), f"rule {default.name}")  # noqa: B023


async def _until(making: Callable[[], Awaitable[bool]], what: str) -> None:
    while True:
        try:
            if await making():
                _log.info("default_made", what=what)
        except (InvalidInputError, NameTakenError) as error:
            _log.error("default_refused", what=what, cause=error.cause, fix=error.fix)
        except (PlatformError, TimeoutError) as error:
            if not isinstance(error, NotAnnouncedError):
                _log.warning("default_waits", what=what, cause=str(error))
            await asyncio.sleep(AGAIN_S)
            continue
        return


async def make(deps: Dependencies, default: Default) -> bool:
    """Make it unless it ever was; whether this call did. Raises what a request would raise."""
    if await deps.bus.last_of(f"cfg.{default.noun}.{default.key}"):
        return False
    config, schema = await accepted(deps, default.noun, default.config, f"/{default.noun}")
    subject = f"cfg.{default.noun}.{default.key}"
    hidden = await sealed(deps, subject, default.noun, config, schema)
    setting = _setting(default, hidden)
    try:
        taking = await claims.taking(deps, claims.claim_key(default.noun, default.name), setting)
        await land(deps, taking, Draft(setting, Expect(0)))
    except (WrongSequenceError, NameTakenError):
        for key in keys_of(hidden):  # nothing in the log names it
            await deps.vault.erase(key)
        if await deps.bus.last_of(subject):
            return False  # another replica was quicker
        raise
    return True


async def make_rule(deps: Dependencies, channel: Default) -> bool:
    """Have a channel of the environment told what goes wrong, unless that rule ever was."""
    key = str(uuid5(NAMESPACE, f"rule/{channel.name}"))
    if await deps.bus.last_of(f"cfg.rule.{key}"):
        return False
    rule = RuleSetting(
        id=uuid5(NAMESPACE, f"rule/{channel.name}/first"),
        key=key,
        actor=ACTOR,
        name=f"trouble by {channel.name}",
        channel_id=channel.key,
        facts=TROUBLE,
        min_severity=Severity.WARNING,
    )
    try:
        taking = await claims.taking(deps, claims.claim_key("rule", rule.name), rule)
        await land(deps, taking, Draft(rule, Expect(0)))
    except WrongSequenceError:
        return False  # another replica was quicker
    return True


def _setting(default: Default, config: PluginConfig) -> AnySetting:
    about: dict[str, Any] = {"key": default.key, "actor": ACTOR, "name": default.name}
    if default.noun == "channel":
        about["id"] = uuid5(NAMESPACE, f"channel/{default.name}/first")
        return ChannelSetting(**about, channel=config)
    return StoreSetting(id=uuid5(NAMESPACE, "store/first"), **about, store=config)
