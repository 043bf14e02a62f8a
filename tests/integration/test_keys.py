"""The vault over a real key bucket: one key however many ask, and none revived."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.fernet import Fernet

from shared.bus.bootstrap import bootstrap
from shared.bus.connection import BusSettings
from shared.keys.bucket import BusKeys
from shared.keys.vault import SealedValueError, Vault
from tests.support.bus import plain_bus
from tests.support.nats import Nats


async def test_many_that_seal_under_one_new_key_at_once_can_all_be_opened(nats: Nats) -> None:
    await bootstrap(BusSettings(nats_url=nats.url))
    async with plain_bus(nats) as one, plain_bus(nats) as two:
        key = Fernet.generate_key().decode()
        vaults = [Vault(BusKeys(bus), [key]) for bus in (one, two)]

        tokens = await asyncio.gather(
            *(
                vault.seal("cfg.user.1", "name", f"value {n}", key_id="person-1")
                for n, vault in enumerate(vaults * 4)
            )
        )

        opened = [await vaults[0].open(token, "cfg.user.1", "name") for token in tokens]
        assert opened == [f"value {n}" for n in range(8)]


async def test_a_rotation_rewraps_what_lives_and_revives_nothing(nats: Nats) -> None:
    await bootstrap(BusSettings(nats_url=nats.url))
    async with plain_bus(nats) as bus:
        old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
        before, keys = Vault(BusKeys(bus), [old]), BusKeys(bus)
        kept = await before.seal("cfg.server.a", "f", "kept")
        gone = await before.seal("cfg.user.1", "name", "gone", key_id="person-1")
        await keys.create("worker.core", b"public half")
        await before.erase("person-1")

        rewrapped = await Vault(BusKeys(bus), [new, old]).rewrap()

        after = Vault(BusKeys(bus), [new])
        assert rewrapped == 1
        assert await after.open(kept, "cfg.server.a", "f") == "kept"
        assert await keys.read("worker.core") == b"public half"
        with pytest.raises(SealedValueError, match="erased"):
            await after.open(gone, "cfg.user.1", "name")
