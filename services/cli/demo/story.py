"""The main job from nothing, with a crash in the middle and every claim proved."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sys
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from services.cli.demo.api import Api, first_admin
from services.cli.demo.compare import Content, content_of, differences
from services.cli.demo.customer import SHOP, Customer, customer
from services.cli.demo.proofs import (
    Recovery,
    restore_by_hand,
    verified,
    with_one_bit_flipped,
    with_one_line_edited,
)
from services.cli.demo.results import (
    Audit,
    BackupFigures,
    Killed,
    RestoreFigures,
    Results,
    Tamper,
    page,
)
from services.launcher.directory import DataDirectory
from services.launcher.up import Platform, running
from shared.keys.files import platform_fingerprint
from shared.keys.reading import read_signing_key

KILL_AFTER_BYTES = 20_000_000
KILLS_TRIED = 3

console = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """One line of what is happening."""
    console.print(f"[bold]·[/bold] {text}")


class Story:
    """The demo on a running platform. Each chapter leaves what later ones need."""

    def __init__(self, platform: Platform, source: Customer, api: Api, folder: Path) -> None:
        self._platform, self._source, self._api, self._folder = platform, source, api, folder
        self._server = self._store = ""
        keys = platform.installation.keys
        self._public_key = read_signing_key(keys.audit_key).public
        self._recovery = Recovery(keys.recovery_key, platform_fingerprint(keys))

    async def register(self) -> None:
        """The customer's server and a local store."""
        database = self._source.database(SHOP)
        engine = {
            "kind": "postgresql",
            "host": database.host,
            "port": database.port,
            "user": database.user,
            "password": database.password,
            "tls": "off",
        }
        body = {
            "name": "customer",
            "runner": {"kind": "local"},
            "endpoints": [{"name": "postgresql", "engine": engine}],
        }
        self._server = (await self._api.post("/servers", body))["id"]
        archives = self._folder / "archives"
        archives.mkdir(mode=0o700)
        store = {"kind": "local", "root": str(archives)}
        self._store = (await self._api.post("/stores", {"name": "demo", "store": store}))["id"]

    async def request_backup(self, **how: str) -> dict[str, Any]:
        """Ask for a backup of the shop; `how` are further fields of the request."""
        body = {"database": self._database(SHOP), "store_id": self._store, **how}
        return await self._api.post("/backups", body)

    async def back_up(self, **how: str) -> tuple[str, BackupFigures]:
        """A backup from request to completion, with its figures."""
        began = time.monotonic()
        asked = await self.request_backup(**how)
        await self._api.ended(asked["run_id"])
        seconds = time.monotonic() - began
        done = await self._api.get(f"/backups/{asked['id']}")
        return asked["id"], BackupFigures(
            raw_bytes=done["raw_bytes"],
            stored_bytes=done["stored_bytes"],
            seconds=round(seconds, 2),
            mb_per_s=round(done["raw_bytes"] / seconds / 1e6, 1),
        )

    async def back_up_and_kill(self) -> dict[str, Any]:
        """A backup whose executor is killed while it writes; returns before it is done again."""
        for _ in range(KILLS_TRIED):
            asked = await self.request_backup()
            await self._api.until_read(asked["run_id"], KILL_AFTER_BYTES)
            self._platform.children["executor"].kill()
            run = await self._api.get(f"/runs/{asked['run_id']}")
            if run["status"] == "running":
                return asked
        raise AssertionError("the backup was always done before the kill")

    async def restore(self, backup_id: str, name: str) -> float:
        """Restore into the new database `name`; the seconds it took."""
        began = time.monotonic()
        body = {"target": self._database(name), "reason": "demo"}
        asked = await self._api.post(f"/backups/{backup_id}/restore", body)
        await self._api.ended(asked["run_id"])
        return time.monotonic() - began

    async def equal(self, expected: Content, name: str) -> bool:
        """Whether the database `name` holds what the shop held; says what does not match."""
        found = differences(expected, await content_of(self._source.database(name)))
        if found:
            say(f"[red]{name} differs in {', '.join(found[:5])}[/red]")
        return not found

    async def tampered_archive_refused(self, archive: Path) -> bool:
        """Whether a good copy is accepted, and one with a flipped bit is not."""
        flipped = with_one_bit_flipped(archive, self._folder / "flipped")
        accepts = self._recovery.verify
        good, bad = await asyncio.gather(
            asyncio.to_thread(accepts, archive), asyncio.to_thread(accepts, flipped)
        )
        return good and not bad

    async def recovered(
        self, archive: Path, expected: Content, name: str = "recovered_by_hand"
    ) -> bool:
        """Whether the archive opens with the recovery key alone, and holds the shop, which is
        restored as `name`."""
        dump = self._folder / f"{name}.dump"
        if not await asyncio.to_thread(self._recovery.decrypt, archive, dump):
            return False
        target = self._source.database(name)
        return await restore_by_hand(dump, target) and await self.equal(expected, target.database)

    async def audit(self) -> tuple[Audit, bool]:
        """The exported audit log verified offline, and whether an edited copy is refused."""
        export = self._folder / "audit.jsonl"
        await self._api.save("/audit/export", export)
        proof = await asyncio.to_thread(verified, export, self._public_key)
        edited = with_one_line_edited(export, self._folder / "edited.jsonl")
        refused = await asyncio.to_thread(verified, edited, self._public_key) is None
        return Audit(entries=proof.entries if proof else 0, verified=proof is not None), refused

    async def attempts(self, run_id: str) -> int:
        """How many attempts a run took, once it has completed."""
        return int((await self._api.ended(run_id))["attempts"])

    def archive(self, backup_id: str, attempt: int = 1) -> Path:
        """Where the archive of a backup lies."""
        return self._folder / "archives" / backup_id / str(attempt)

    def _database(self, name: str) -> dict[str, str]:
        return {"server_id": self._server, "endpoint": "postgresql", "name": name}


async def tell(story: Story, source: Customer, ready_s: float, began: float) -> Results:
    """The chapters in order; what waits for the second attempt is filled with other proofs."""
    await story.register()
    say("backing up")
    first, backup = await story.back_up()
    say("backing up again, and killing the executor in the middle")
    second = await story.back_up_and_kill()
    expected = await content_of(source.database(SHOP))
    say("restoring the first backup into a new database")
    seconds = await story.restore(first, "shop_restored")
    equal = await story.equal(expected, "shop_restored")
    say("tampering, and opening the archive without the platform")
    archive_refused = await story.tampered_archive_refused(story.archive(first))
    recovered = await story.recovered(story.archive(first), expected)
    audit, audit_refused = await story.audit()
    say("waiting for another attempt at the killed backup")
    attempts = await story.attempts(second["run_id"])
    await story.restore(second["id"], "shop_killed")
    killed = Killed(attempts=attempts, equal=await story.equal(expected, "shop_killed"))
    return Results(
        ready_s=round(ready_s, 2),
        run_s=round(time.monotonic() - began, 2),
        backup=backup,
        restore=RestoreFigures(
            seconds=round(seconds, 2),
            tables=len(expected.tables),
            rows=expected.rows,
            equal=equal,
        ),
        killed=killed,
        tamper=Tamper(archive_refused=archive_refused, audit_refused=audit_refused),
        recovered_without_platform=recovered,
        audit=audit,
    )


async def demo(home: DataDirectory, *, stay: bool) -> Results:
    """Run the demo in a fresh folder of `home`; with `stay`, keep the platform up afterwards."""
    began = time.monotonic()
    root = DataDirectory(home.root / "demo")
    with root.locked():
        pass  # nobody runs there, so what an earlier demo left may go
    shutil.rmtree(root.root)
    password = secrets.token_urlsafe(12)
    async with AsyncExitStack() as stack:
        say("starting a PostgreSQL 16 with a sample shop, and the platform")
        source = await stack.enter_async_context(customer(root.root / "customer"))
        loading = asyncio.create_task(source.load_shop())
        platform = await stack.enter_async_context(running(root))
        token = platform.first_admin_token
        assert token is not None, "a fresh platform has a one-time token"
        api = await stack.enter_async_context(first_admin(platform.url, token, password))
        await loading
        story = Story(platform, source, api, root.root)
        results = await tell(story, source, platform.ready_after_s, began)
        console.print(page(results))
        if stay:
            console.print(f"\n  {platform.url}  admin@example.com  {password}\n  Ctrl-C stops it")
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
    return results


def run_demo(home: DataDirectory) -> int:
    """`holdfast demo`: the exit status, 0 only when everything was proved."""
    stay = sys.stdout.isatty() and not os.environ.get("JSON")
    results = asyncio.run(demo(home, stay=stay))
    if not stay:
        print(msgspec.json.encode(results).decode())
    return 0 if results.good else 1
