"""Storage, retention and the notifier as processes, with the real auditor's write gate."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from shared.bus import Expect
from shared.keys.plugins import seal_config
from shared.messages.facts import BackupDeleted, BackupExpired, BackupVerified
from shared.messages.settings import (
    ChannelSetting,
    DatabaseSetting,
    PolicySetting,
    RuleSetting,
)
from shared.messages.values import DatabaseRef
from shared.plugins import announced
from tests.integration.storage.test_storage import archive
from tests.integration.town import Town, a_town
from tests.support import archives
from tests.support.postgres import Postgres
from tests.support.waiting import eventually
from tests.unit.notifier.receiver import SECRET, receiving
from tests.unit.storage.builders import Said, names

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def process(town: Town, service: str, folder: Path) -> Iterator[None]:
    """`python -m services.<service>`; told to stop at the end, and then it must stop well."""
    bus = town.nats.settings(service)
    environment = {
        "PATH": os.environ["PATH"],
        "NATS_URL": bus.nats_url,
        "NATS_USER": bus.nats_user,
        "NATS_PASSWORD": bus.nats_password,
        "DATABASE_URL": town.database_url,
        "ENCRYPTION_KEY_FILE": str(town.keys.encryption_key),
        "NOTIFIER_ALLOW_LOOPBACK": "true",
        "UNDO_WINDOW_S": "0.5",
        "LOOK_EVERY_S": "0.5",
    }
    with (folder / f"{service}.log").open("wb") as log:
        running = subprocess.Popen(
            [sys.executable, "-m", f"services.{service}"], cwd=ROOT, env=environment, stderr=log
        )
        try:
            yield
            assert running.poll() is None, (folder / f"{service}.log").read_text()
            running.terminate()
            assert running.wait(10) == 0
        finally:
            running.kill()
            running.wait()


async def backed_up(town: Town, root: Path) -> Said:
    """A backup as gateway and executor leave it."""
    backup = Said(town.gateway, "main")
    await backup.requested()
    working = Said(town.executor, "main", backup.id)
    await working.attempted(1)
    await working.completed(1, await archive(archives.local(root), backup, 1))
    return backup


async def test_an_expired_backup_is_deleted_and_somebody_is_told(
    tmp_path: Path, postgres: Postgres
) -> None:
    root = tmp_path / "store"
    async with a_town(tmp_path, postgres) as town, receiving() as receiver:
        await town.furnish(root)
        with ExitStack() as stack:
            for service in ("storage", "retention", "notifier"):
                stack.enter_context(process(town, service, tmp_path))
            await hear_deletions(town, receiver.url)
            old = await backed_up(town, root)
            await town.heard(BackupVerified, old.id, within=30)
            await keep_one(town)
            new = await backed_up(town, root)

            await town.heard(BackupExpired, old.id, within=30)
            await town.heard(BackupDeleted, old.id)
            await eventually(lambda: receiver.heard)

    assert [one["subject"] for one in receiver.heard] == [str(old.id)]
    assert {key.split("/")[0] for key in await names(archives.local(root))} == {str(new.id)}
    for log in tmp_path.glob("*.log"):
        assert SECRET not in log.read_text()


async def keep_one(town: Town) -> None:
    database = DatabaseRef(server_id=Said.SERVER, endpoint="main", name="shop")
    await town.gateway.append(PolicySetting(key="p1", name="one", keep_last=1))
    await town.gateway.append(DatabaseSetting(key=str(database.id), policy_id="p1"))


async def hear_deletions(town: Town, url: str) -> None:
    """A webhook for `backup.deleted`, sealed by the schema that the notifier announced."""
    schemas = await eventually(lambda: announced(town.gateway, "channel"), within=30)
    config = {"kind": "webhook", "url": url, "secret": SECRET}
    sealed = await seal_config(
        town.vault(town.gateway), "cfg.channel.c1", "channel", config, schemas["webhook"]
    )
    await town.gateway.append(
        ChannelSetting(key="c1", name="hook", channel=sealed), expect=Expect(0)
    )
    rule = RuleSetting(key="r1", name="rule", channel_id="c1", facts=["backup.deleted"])
    await town.gateway.append(rule, expect=Expect(0))
