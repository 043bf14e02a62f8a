"""The store that the environment describes: made once, at the first start that has it.

Afterwards it is a store like any other: what people change or delete stays so, whatever the
environment says.
"""

from __future__ import annotations

import asyncio
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
from shared.messages.settings import AnySetting, StoreSetting
from shared.messages.values import PluginConfig

ACTOR = "service:gateway"
NAMESPACE = UUID("6f6c6466-6173-5f74-8000-64656661756c")
NAME = "default"
AGAIN_S = 1.0

_log = structlog.get_logger()


class Default(msgspec.Struct, frozen=True, kw_only=True):
    """A thing to make; its ids are the same at every start and on every replica."""

    noun: str
    plugin: str
    config: PluginConfig

    def __repr__(self) -> str:
        return f"Default(noun={self.noun!r})"

    @property
    def key(self) -> str:
        return str(uuid5(NAMESPACE, self.noun))


def wanted(defaults: Defaults) -> list[Default]:
    """What the environment describes."""
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
    return [Default(noun="store", plugin="store", config=store)]


async def make_defaults(deps: Dependencies, defaults: Defaults) -> None:
    """Make what was never made; waits for the services that know the plug-ins."""
    for default in wanted(defaults):
        await _until_made(deps, default)


async def _until_made(deps: Dependencies, default: Default) -> None:
    while True:
        try:
            if await make(deps, default):
                _log.info("default_made", noun=default.noun, id=default.key)
        except (InvalidInputError, NameTakenError) as error:
            _log.error("default_refused", noun=default.noun, cause=error.cause, fix=error.fix)
        except (PlatformError, TimeoutError) as error:
            if not isinstance(error, NotAnnouncedError):
                _log.warning("default_waits", noun=default.noun, cause=str(error))
            await asyncio.sleep(AGAIN_S)
            continue
        return


async def make(deps: Dependencies, default: Default) -> bool:
    """Make it unless it ever was; whether this call did. Raises what a request would raise."""
    if await deps.bus.last_of(f"cfg.{default.noun}.{default.key}"):
        return False
    config, schema = await accepted(deps, default.plugin, default.config, f"/{default.plugin}")
    subject = f"cfg.{default.noun}.{default.key}"
    hidden = await sealed(deps, subject, default.plugin, config, schema)
    setting = _setting(default, hidden)
    try:
        taking = await claims.taking(deps, claims.claim_key(default.noun, NAME), setting)
        await land(deps, taking, Draft(setting, Expect(0)))
    except (WrongSequenceError, NameTakenError):
        for key in keys_of(hidden):  # nothing in the log names it
            await deps.vault.erase(key)
        if await deps.bus.last_of(subject):
            return False  # another replica was quicker
        raise
    return True


def _setting(default: Default, config: PluginConfig) -> AnySetting:
    return StoreSetting(
        id=uuid5(NAMESPACE, f"{default.noun}/first"),
        key=default.key,
        actor=ACTOR,
        name=NAME,
        store=config,
    )
