"""A gateway that starts with a new ENCRYPTION_KEY before the old one."""

from __future__ import annotations

from cryptography.fernet import Fernet

from services.gateway.__main__ import rewrap
from shared.keys.vault import Vault
from tests.unit.keys.folders import DictKeys


async def test_a_start_with_both_keys_makes_the_old_one_needless() -> None:
    lost, old, new = (Fernet.generate_key().decode() for _ in range(3))
    bucket = DictKeys()
    await Vault(bucket, [lost]).seal("cfg.server.b", "f", "unreadable")
    sealed = await Vault(bucket, [old]).seal("cfg.server.a", "f", "canary")

    await rewrap(Vault(bucket, [new, old]))

    assert await Vault(bucket, [new]).open(sealed, "cfg.server.a", "f") == "canary"
