"""Hands the audit log over to a new key on a running platform."""

from __future__ import annotations

import asyncio
from uuid import UUID

import asyncpg
import msgspec
from uuid_utils.compat import uuid7

from services.launcher.identity import require_same_log, said_identity
from services.launcher.installation import Installation
from services.launcher.running import Running
from shared.bus import Bus, Expect
from shared.bus.base import AUDIT_CKPT
from shared.bus.jetstream import connect
from shared.errors import UnavailableError
from shared.keys.audit import read_audit_key
from shared.keys.files import platform_setting
from shared.keys.handing_over import hand_over_audit_key
from shared.messages.base import consequence, now
from shared.readmodel.url import plain_url

PATIENCE_S = 10.0
_SIGNED = "SELECT max(size) FROM audit_checkpoints"


async def rotate_audit_key(platform: Running, wish: UUID) -> None:
    """A new key signs from now on, and both keys say so: in the key folder first, then in the log.

    The old key says nothing about more entries than it has signed for when the auditor stopped.
    Once for each `wish`, however often it is fulfilled.
    """
    mark = consequence(wish, "audit-key")
    installation = platform.installation
    async with connect(installation.bus_settings(), source="launcher") as bus:
        said, _ = await said_identity(bus)
        if said.id == mark:
            return
        there = read_audit_key(installation.keys.audit_key).signing.public
        if said.audit_public_key == there.hex():  # else half of it was done
            async with platform.paused(["auditor"]):
                size = await _signed_so_far(installation, bus)
                await asyncio.to_thread(hand_over_audit_key, installation.keys, size=size)
    await say_audit_key(platform, mark)


async def say_audit_key(platform: Running, mark: UUID | None = None) -> None:
    """Bring the log up to the key folder, which is ahead after an interruption.

    `mark`: the id of what is said then.
    """
    installation = platform.installation
    identity = platform_setting(installation.keys)
    async with connect(installation.bus_settings(), source="launcher") as bus:
        said, seq = await said_identity(bus)
        require_same_log(said, identity)
        if said.audit_public_key == identity.audit_public_key:
            return
        told = msgspec.structs.replace(
            said,
            id=mark or uuid7(),
            at=now(),
            audit_public_key=identity.audit_public_key,
            handovers=identity.handovers,
        )
        await bus.append(told, expect=Expect(seq))


async def _signed_so_far(installation: Installation, bus: Bus) -> int:
    """The entries that the largest checkpoint speaks of; it may have been kept and not sent."""
    return max(await _kept(installation), await _sent(installation, bus))


async def _kept(installation: Installation) -> int:
    url = plain_url(installation.database_url("writer").read_text())
    connection = await asyncpg.connect(url, timeout=PATIENCE_S)
    try:
        return await connection.fetchval(_SIGNED) or 0
    finally:
        await connection.close()


async def _sent(installation: Installation, bus: Bus) -> int:
    state = await bus.state(AUDIT_CKPT)
    if not state.messages:
        return 0
    keys = read_audit_key(installation.keys.audit_key).succession
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for delivery in bus.follow(AUDIT_CKPT, after_seq=state.last_seq - 1):
                return keys.open(delivery.data.decode(errors="replace")).size
    except TimeoutError:
        pass
    raise UnavailableError("the last checkpoint of the audit log cannot be read", fix="try again")
