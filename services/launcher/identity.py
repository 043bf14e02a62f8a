"""The first message of every log: which installation this is. Said once, by the bootstrap user."""

from __future__ import annotations

from pathlib import Path

import msgspec

from shared.bus import Bus, Expect
from shared.bus.bootstrap import bootstrap
from shared.bus.jetstream import BusSettings, connect
from shared.messages.settings import PlatformSetting
from shared.settings import ConfigurationError


class BootstrapSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`platform_file`: the identity that `holdfast init` wrote. `replicas`: of each stream."""

    platform_file: Path
    replicas: int = 1


async def prepare_nats(bus_settings: BusSettings, settings: BootstrapSettings) -> bool:
    """Make streams and buckets, and say who the platform is; whether this was the first time."""
    await bootstrap(bus_settings, replicas=settings.replicas)
    async with connect(bus_settings, source="launcher", gate=False) as bus:
        return await introduce(bus, read_identity(settings.platform_file))


async def introduce(bus: Bus, identity: PlatformSetting) -> bool:
    """Say `identity` where none was said yet; raises ConfigurationError for another one's log."""
    for said in await bus.last_of(identity.subject):
        _compare(said.message, identity)
        return False
    await bus.append(identity, expect=Expect(0))
    return True


def read_identity(path: Path) -> PlatformSetting:
    """What `holdfast init` wrote; raises ConfigurationError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=PlatformSetting)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"{path.name} is not the identity of a platform") from error


def _compare(said: object, identity: PlatformSetting) -> None:
    known = said.audit_public_key if isinstance(said, PlatformSetting) else ""
    if known != identity.audit_public_key:
        raise ConfigurationError(
            "the log belongs to another installation",
            fix="use its key folder, or give this installation a NATS of its own",
        )
