"""Backups and restores."""

from __future__ import annotations

import sys
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter

from services.cli.client import Client, connected
from services.cli.commands.downloads import download
from services.cli.errors import BadArgumentError
from services.cli.output import Output, note, show, show_one
from services.cli.waiting import ended

COLUMNS = ("id", "database_name", "type", "status", "proof", "stored_bytes", "requested_at")
Wait = Annotated[bool, Parameter(help="Wait until it ends; exit code 1 unless it completed")]
Why = Annotated[str, Parameter(help="Stays in the audit log")]
Legal = Annotated[bool, Parameter(negative="", help="A hold that only an administrator may lift")]
Key = Annotated[str | None, Parameter(help="Sent twice, the same key creates one backup")]


async def run(  # noqa: PLR0913 - an argument per option
    server: str,
    database: str,
    *,
    store: str | None = None,
    endpoint: str | None = None,
    kind: Annotated[
        Literal["full", "incremental", "differential"], Parameter(name="--type")
    ] = "full",
    codec: Literal["zstd", "lz4", "gzip", "none"] = "zstd",
    note_text: Annotated[str, Parameter(name="--note")] = "",
    key: Key = None,
    wait: Wait = False,
    output: Output = None,
) -> None:
    """Back up a database now: holdfast backup run shop orders --wait"""
    async with connected() as client:
        found = await client.named("/servers", server)
        body = {
            "database": _reference(found, database, endpoint),
            "store_id": (await _store(client, store))["id"],
            "type": kind,
            "codec": codec,
            "note": note_text,
        }
        backup = await client.post("/backups", body, key=key)
        if wait:
            await ended(client, backup["run_id"])
            backup = await client.get(f"/backups/{backup['id']}")
            backup.pop("archive", None)
        show_one(backup, output)


async def list_backups(
    *, status: str | None = None, limit: int = 50, output: Output = None
) -> None:
    """List backups, the newest first."""
    async with connected() as client:
        query = {"status": status} if status else {}
        show(await client.every("/backups", limit=limit, **query), COLUMNS, output)


async def show_backup(backup_id: str, *, output: Output = None) -> None:
    """Show one backup with what is known of its archive."""
    async with connected() as client:
        show_one(await client.get(f"/backups/{backup_id}"), output)


async def delete(
    backup_id: str, *, yes: Annotated[bool, Parameter(help="Do not ask")] = False
) -> None:
    """Delete a backup, once the time is over in which that can be taken back."""
    if not yes and not agreed(f"Delete backup {backup_id}?"):
        raise BadArgumentError("not deleted", fix="answer yes, or say --yes")
    async with connected() as client:
        await client.delete(f"/backups/{backup_id}")
        shown = await client.get(f"/backups/{backup_id}")
    after = shown.get("delete_after")
    note(f"It can be taken back until {after}." if after else "The backup will be deleted.")


async def undelete(backup_id: str) -> None:
    """Take the deletion of a backup back, before it has begun."""
    async with connected() as client:
        await client.post(f"/backups/{backup_id}/undelete", {})
    note("The backup is kept.")


async def verify(
    backup_id: str,
    *,
    restore: Annotated[
        bool, Parameter(negative="", help="Restore it into a throw-away instance, and compare")
    ] = False,
    deep: Annotated[
        bool, Parameter(negative="", help="Read it with its keys, and compare all of the dump")
    ] = False,
    wait: Wait = False,
    output: Output = None,
) -> None:
    """Read a backup's archive again, and compare: holdfast backup verify ID --wait

    With --restore --wait the checks of its schedule are shown, too, and the time to restore."""
    async with connected() as client:
        how = "test-restore" if restore else "deep-verify" if deep else "verify"
        asked = await client.post(f"/backups/{backup_id}/{how}", {})
        run_id = asked["run_id"] if restore or deep else asked["id"]
        if not wait:
            show_one(asked, output)
        elif restore:
            await _tested(client, asked["id"], run_id, output)
        else:
            show_one(await ended(client, run_id), output)


async def _tested(client: Client, restore_id: str, run_id: str, output: Output) -> None:
    """Each check is said as it went, also where that is why the test failed."""
    try:
        await ended(client, run_id)
    finally:
        found = await client.get(f"/restores/{restore_id}")
        for one in found.get("checks") or []:
            passed = "passed" if one["passed"] else "FAILED"
            note(f"Check {one['name']}: {passed} (wanted {one['wanted']}, got {one['got']}).")
    found.pop("tables", None)
    show_one(found, output)


async def copy(backup_id: str, store: str, *, output: Output = None) -> None:
    """Copy a backup into a further store: holdfast backup copy ID attic"""
    async with connected() as client:
        found = await client.named("/stores", store)
        path = f"/backups/{backup_id}/archives"
        show_one(await client.post(path, {"store_id": found["id"]}), output)


async def list_archives(backup_id: str, *, output: Output = None) -> None:
    """List the stores that a backup stands in: holdfast backup archives ID"""
    async with connected() as client:
        found = await client.get(f"/backups/{backup_id}/archives")
        columns = ("store_id", "first", "status", "proof", "stored_bytes")
        show(found["items"], columns, output)


async def hold(
    backup_id: str,
    *,
    reason: Why,
    until: Annotated[str | None, Parameter(help="A time with a zone; by default no end")] = None,
    legal: Legal = False,
    output: Output = None,
) -> None:
    """Keep a backup whatever its policies say: holdfast backup hold ID --reason "case 7"."""
    body = {"kind": _kind(legal), "reason": reason, "until": until}
    async with connected() as client:
        show_one(await client.post(f"/backups/{backup_id}/hold", body), output)


async def release(
    backup_id: str, *, reason: Why, legal: Legal = False, output: Output = None
) -> None:
    """Lift a hold: the policies apply again."""
    body = {"kind": _kind(legal), "reason": reason}
    async with connected() as client:
        show_one(await client.post(f"/backups/{backup_id}/release", body), output)


def _kind(legal: bool) -> str:
    return "legal" if legal else "hold"


async def restore(  # noqa: PLR0913 - an argument per option
    backup_id: str,
    *,
    to: Annotated[str, Parameter(help="The new database's name; it must not exist")],
    server: Annotated[str | None, Parameter(help="By default where it came from")] = None,
    endpoint: str | None = None,
    reason: Annotated[str, Parameter(help="Stays in the audit log")] = "",
    wait: Wait = False,
    output: Output = None,
) -> None:
    """Restore a backup into a new database: holdfast restore run ID --to orders_again --wait"""
    async with connected() as client:
        backup = await client.get(f"/backups/{backup_id}")
        found = await client.named("/servers", server or backup["server_id"])
        same = server is None and endpoint is None
        at = backup["endpoint"] if same else endpoint
        body = {"target": _reference(found, to, at), "reason": reason}
        made = await client.post(f"/backups/{backup_id}/restore", body)
        if wait:
            await ended(client, made["run_id"])
            made = await client.get(f"/restores/{made['id']}")
        show_one(made, output)


def agreed(question: str) -> bool:
    """Whether the person at the terminal says yes; nobody there is a no."""
    return sys.stdin.isatty() and input(f"{question} (yes/no) ") == "yes"


def _reference(server: dict[str, Any], database: str, endpoint: str | None) -> dict[str, Any]:
    names = [point["name"] for point in server["endpoints"]]
    if endpoint is None and len(names) > 1:
        raise BadArgumentError(
            f"{server['name']} has several endpoints", fix=f"say --endpoint: {', '.join(names)}"
        )
    return {"server_id": server["id"], "endpoint": endpoint or names[0], "name": database}


async def _store(client: Client, name: str | None) -> dict[str, Any]:
    if name is not None:
        return await client.named("/stores", name)
    stores = await client.every("/stores")
    if len(stores) != 1:
        raise BadArgumentError(
            "there is no store" if not stores else "there are several stores",
            fix="say which one by --store, or add one by `holdfast store add`",
        )
    only: dict[str, Any] = stores[0]
    return only


def register(app: App) -> None:
    """Add the commands of this file."""
    backups = App(name="backup", help="Backups.")
    backups.command(run)
    backups.command(list_backups, name="list")
    backups.command(show_backup, name="show")
    backups.command(delete)
    backups.command(undelete)
    backups.command(verify)
    backups.command(copy)
    backups.command(list_archives, name="archives")
    backups.command(download)
    backups.command(hold)
    backups.command(release)
    restores = App(name="restore", help="Restores.")
    restores.command(restore, name="run")
    app.command(backups)
    app.command(restores)
