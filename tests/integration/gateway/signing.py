"""What the auditor's notary does, on command: it signs the log as far as it is projected."""

from __future__ import annotations

from datetime import UTC, datetime

import asyncpg

from shared.archive.keys import SigningKey
from shared.audit.merkle import root_of
from shared.audit.note import Checkpoint, origin_of, sign, timestamp
from shared.bus import Expect
from shared.messages.settings import PlatformSetting
from tests.integration.gateway.platform import Platform

KEY = SigningKey(bytes(range(32)))


async def identified(platform: Platform) -> None:
    """Give the installation an identity with KEY as its audit key."""
    setting = PlatformSetting(
        key="self",
        origin=origin_of(KEY.public),
        audit_public_key=KEY.public.hex(),
        platform_recipient="hfpub1.a",
        recovery_recipient="hfpub1.b",
    )
    await platform.bus.append(setting, expect=Expect(0))


async def signed(platform: Platform) -> int:
    """Sign everything that is projected; how many entries that are."""
    connection = await asyncpg.connect(platform.settings.database_url.replace("+asyncpg", ""))
    try:
        rows = await connection.fetch("SELECT leaf_hash FROM audit_logs ORDER BY n")
        root, at = root_of([row["leaf_hash"] for row in rows]), datetime.now(UTC)
        note = sign(Checkpoint(origin_of(KEY.public), len(rows), root, timestamp(at)), KEY)
        await connection.execute(
            "INSERT INTO audit_checkpoints (size, root, note, at) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT DO NOTHING",
            *(len(rows), root, note, at),
        )
    finally:
        await connection.close()
    return len(rows)
