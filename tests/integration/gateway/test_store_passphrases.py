"""A store's passphrase: taken, never given back, kept until it is removed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from shared.keys.opened import open_passphrase
from shared.messages.settings import StoreSetting
from tests.integration.gateway.platform import Gateway

PASSPHRASE = "canary correct horse"


async def setting(gateway: Gateway, store_id: str) -> StoreSetting:
    said = (await gateway.deps.bus.last_of(f"cfg.store.{store_id}"))[-1].message
    assert isinstance(said, StoreSetting)
    return said


async def test_a_passphrase_is_kept_sealed_until_it_is_removed(
    gateway: Gateway, tmp_path: Path
) -> None:
    body: dict[str, Any] = {"name": "cellar", "store": {"kind": "local", "root": str(tmp_path)}}
    made = await gateway.add("/stores", {**body, "passphrase": PASSPHRASE})
    path = f"/stores/{made['id']}"

    async def replaced(version: int, **changes: Any) -> dict[str, Any]:
        answer = await gateway.call("PUT", path, {**body, **changes}, if_match=f'"{version}"')
        assert answer.status_code == 200, answer.text
        shown: dict[str, Any] = answer.json()
        return shown

    first = await setting(gateway, made["id"])
    assert made["has_passphrase"]
    assert "canary" not in str(made) + str(first)
    assert await open_passphrase(gateway.deps.vault, first) == PASSPHRASE

    kept = await replaced(made["version"], region="here")
    assert kept["has_passphrase"]
    assert (await setting(gateway, made["id"])).passphrase == first.passphrase

    removed = await replaced(kept["version"], without_passphrase=True)
    assert not removed["has_passphrase"]
    assert await open_passphrase(gateway.deps.vault, await setting(gateway, made["id"])) is None


async def test_a_passphrase_that_is_soon_guessed_is_refused_and_not_repeated(
    gateway: Gateway, tmp_path: Path
) -> None:
    body = {"name": "cellar", "store": {"kind": "local", "root": str(tmp_path)}}

    answer = await gateway.call("POST", "/stores", {**body, "passphrase": "canary"})

    assert answer.status_code == 400
    assert "canary" not in answer.text
