"""The first message of every log: which installation this is. Said once, by the bootstrap user."""

from __future__ import annotations

from pathlib import Path

import msgspec

from shared.audit.note import NoteError
from shared.audit.succession import Succession
from shared.bus import Bus, Expect
from shared.bus.bootstrap import bootstrap
from shared.bus.jetstream import BusSettings, connect
from shared.errors import UnavailableError
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
        require_same_log(said.message, identity)
        return False
    await bus.append(identity, expect=Expect(0))
    return True


def read_identity(path: Path) -> PlatformSetting:
    """What `holdfast init` wrote; raises ConfigurationError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=PlatformSetting)
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"{path.name} is not the identity of a platform") from error


def require_same_log(said: object, identity: PlatformSetting) -> None:
    """Raise ConfigurationError unless the key that was said led to the one that is there now."""
    if not isinstance(said, PlatformSetting) or not _leads(said.audit_public_key, identity):
        raise ConfigurationError(
            "the log belongs to another installation",
            fix="use its key folder, or give this installation a NATS of its own",
        )


def _leads(known: str, identity: PlatformSetting) -> bool:
    if known == identity.audit_public_key:
        return True
    try:
        keys = Succession.of(bytes.fromhex(known), identity.handovers)
    except (NoteError, ValueError):
        return False
    return keys.newest.hex() == identity.audit_public_key


async def said_identity(bus: Bus) -> tuple[PlatformSetting, int]:
    """What the log says of this installation, and where; raises UnavailableError before that."""
    for said in await bus.last_of("cfg.platform.self"):
        if isinstance(said.message, PlatformSetting):
            return said.message, said.seq
    raise UnavailableError("the platform has not finished its first start", fix="try again")
