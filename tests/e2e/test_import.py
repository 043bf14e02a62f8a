"""An installation is lost; a new, empty one reads its store, and restores what was in it."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.cli.demo.compare import content_of
from services.launcher.installation import SERVICES
from shared.keys.files import platform_fingerprint
from shared.keys.reading import read_key_encryption_keys
from shared.keys.sheet import recovery_sheet
from shared.messages.facts import BackupRewrapped, KeyAdopted
from tests.support.platform import Installed, installed
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(400)

NEEDED = tuple(one for one in SERVICES if one not in {"notifier", "retention", "health"})
SETTINGS = {"STORAGE_LOOK_EVERY_S": "1", "GATEWAY_UNDO_WINDOW_S": "0"}
TABLE = """
create table orders as select i id, md5(i::text) what from generate_series(1, 3000) i;
alter table orders add primary key (id);
"""


async def import_key(house: Installed, file: Path) -> None:
    """The command line, on the machine of the platform."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli.main", "key", "import", str(file)),
        env={"PATH": os.environ["PATH"], "HOLDFAST_HOME": str(house.home.root)},
    )
    assert await process.wait() == 0


async def backed_up(house: Installed, server: str, store_id: str, kind: str) -> str:
    """The id of a completed backup of this type."""
    place = {"server_id": server, "endpoint": "main", "name": "shop"}
    wish = {"database": place, "store_id": store_id, "type": kind}
    asked = await house.api.post("/backups", wish)
    assert (await house.ended(asked["run_id"]))["status"] == "completed"
    made = await house.api.get(f"/backups/{asked['id']}")
    assert made["type"] == kind
    return str(made["id"])


async def delete(house: Installed, backup_id: str) -> None:
    """Ask for the backup's deletion, once nothing builds on it any more."""
    url, headers = house.platform.url, {"Authorization": house.authorization}

    async def asked() -> bool:
        async with (
            aiohttp.ClientSession(url, headers=headers) as session,
            session.delete(f"/api/v1/backups/{backup_id}") as response,
        ):
            return response.status == 202

    await eventually(asked, within=60, what="the deletion is accepted")


async def import_store(house: Installed, store_id: str, fingerprint: str) -> dict[str, Any]:
    asked = await house.api.post(f"/stores/{store_id}/imports", {"trust": fingerprint})

    async def outcome() -> dict[str, Any]:
        found = await house.api.get(f"/stores/{store_id}/imports/{asked['id']}")
        return {} if found["status"] == "running" else found

    return await eventually(outcome, within=60, what="the import ends")


async def test_a_new_installation_restores_what_a_lost_one_left_in_a_store(
    tmp_path: Path,
) -> None:
    """Abuse case 33: nothing is believed but what the platform of the sheet has signed."""
    folders = tmp_path / "lost", tmp_path / "new"
    for folder in folders:
        folder.mkdir()
    async with installed(folders[0], services=NEEDED, settings=SETTINGS) as lost:
        await lost.load("shop", TABLE)
        server = await lost.server()
        store_id, root = await lost.local_store("cellar")
        full = await backed_up(lost, server, store_id, "full")
        await lost.change("shop", "update orders set what = 'changed' where id % 100 = 0")
        increment = await backed_up(lost, server, store_id, "incremental")
        expected = await content_of(lost.customer.database("shop"))
        keys = lost.platform.installation.keys
        fingerprint, sheet = platform_fingerprint(keys), tmp_path / "sheet"
        sheet.write_text(recovery_sheet(keys).text())

    async with installed(folders[1], services=NEEDED, settings=SETTINGS) as house:
        store_id = await house.store("cellar", {"kind": "local", "root": str(root)})
        own = platform_fingerprint(house.platform.installation.keys)
        refused = await import_store(house, store_id, own)
        assert refused["imported"] == 0
        assert [one["code"] for one in refused["refused"]] == ["archive.untrusted"] * 2

        await import_key(house, sheet)
        found = await import_store(house, store_id, fingerprint)

        assert (found["imported"], found["refusals"]) == (2, 0)
        known = {one["id"]: one for one in (await house.api.get("/backups"))["items"]}
        assert known.keys() == {full, increment}
        assert {one["database_name"] for one in known.values()} == {"shop"}
        assert (known[increment]["type"], known[increment]["parent_id"]) == ("incremental", full)
        server = await house.server()
        assert await house.restored_differences(increment, server, expected) == []

        async def are_proven() -> bool:
            backups = (await house.api.get("/backups"))["items"]
            return all(one["proof"] == "verified" for one in backups)

        await eventually(are_proven, within=60, what="storage reads the imported backups")

        async def is_ours() -> bool:
            return bool((await house.api.get("/keys/master"))["remaining"] == 0)

        await eventually(is_ours, within=60, what="it is sealed to the new installation's keys")
        said = [one.message for one in await house.messages()]
        rewrapped = [one for one in said if isinstance(one, BackupRewrapped)]
        (kek,) = read_key_encryption_keys(house.platform.installation.keys.kek)
        assert [one.recipients[0] for one in rewrapped] == [kek.public.id] * 2
        assert len([one for one in said if isinstance(one, KeyAdopted)]) == 2

        for backup_id in (increment, full):
            await delete(house, backup_id)
            await eventually(
                lambda: not (root / backup_id).exists(),  # noqa: B023 - waited for at once
                within=60,
                what="storage deletes the imported backup",
            )
