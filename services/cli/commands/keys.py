"""Keys outside the log, and who may listen from outside."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from services.cli.client import connected
from services.cli.errors import OK, BadArgumentError
from services.cli.output import Output, note, show, show_one, write_private
from services.launcher.directory import DataDirectory
from services.launcher.wishes import Kind
from shared.keys.files import KeyFolder
from shared.keys.reading import read_recipient
from shared.keys.sheet import recovery_sheet

PATIENCE_S = 300.0
LOOK_EVERY_S = 0.5

Rotated = Annotated[
    Literal["secrets", "jwt", "nats", "master", "audit"],
    Parameter(
        help="What seals secrets, what signs tokens, the passwords of services in NATS, what opens "
        "archives (every archive is sealed to the new key in the background), or what signs the "
        "audit log (the old key hands it over to the new one)"
    ),
]


def rotate(*, kind: Rotated) -> int:
    """Replace a key of the installation on this machine; running services are started anew."""
    _wish(kind)
    if kind != "nats":
        note("The recovery sheet is no longer complete: print it again (holdfast recovery-sheet).")
    if kind == "master":
        note("Archives are sealed to the new key in the background: holdfast key status.")
    if kind == "audit":
        note("The platform has a new fingerprint; archives made before keep the older one.")
    return OK


async def status(*, output: Output = None) -> None:
    """Show which key archives are sealed to, and how many are sealed to an older one yet."""
    async with connected() as client:
        show_one(await client.get("/keys/master"), output)


async def export_recovery(
    *,
    file: Annotated[
        Path | None, Parameter(help="Write it there (0600) instead of to stdout")
    ] = None,
    form: Annotated[
        Literal["sheet", "json", "key"],
        Parameter(help="The whole recovery sheet, also as JSON, or the recovery key alone"),
    ] = "sheet",
) -> int:
    """Take the offline recovery key away from the machine where it lies.

    It needs the right keys.export, and is handed out once a signed audit checkpoint holds the wish.
    """
    keys = _keys()
    sheet = recovery_sheet(keys)  # refuses before anything is asked where the key is gone
    async with connected() as client:
        known = (await client.get("/keys/master"))["recovery_key_id"]
        if known != read_recipient(keys.recovery_recipient).id:
            raise BadArgumentError(
                "the gateway belongs to another installation than the keys on this machine",
                fix="run this on the machine of the platform",
            )
        asked = await client.post("/keys/recovery/exports")
        while not asked["admitted"]:
            await asyncio.sleep(LOOK_EVERY_S)
            asked = await client.get(f"/keys/recovery/exports/{asked['id']}")
    text = {"sheet": sheet.text(), "json": sheet.json().decode() + "\n"}.get(form)
    write_private(text or sheet.keys["recovery_key"] + "\n", file)
    note("Keep it offline. Then: holdfast recovery-sheet --forget SHEET, on the machine.")
    return OK


def import_(file: Annotated[Path, Parameter(help="A recovery sheet, or one printed key")]) -> int:
    """Let archives of another installation be opened here: holdfast key import SHEET

    Its backups come by `holdfast store import`; what is imported is then sealed to this
    installation's own keys in the background.
    """
    from shared.keys.adopting import adopt

    for key_id in adopt(_keys(), file):
        note(f"The key {key_id} opens archives here, too.")
    _wish("adopt")
    note(f"Delete {file}.")
    return OK


def forget(key_id: str) -> int:
    """Let a key of another installation open nothing here any more."""
    from shared.keys.adopting import forget_adopted

    forget_adopted(_keys(), key_id)
    _wish("adopt")
    return OK


def add(
    name: str,
    *,
    replay: Annotated[bool, Parameter(help="Begin with the first fact of the log")] = False,
    output: Output = None,
) -> int:
    """Let an outside system hear every fact; its password is shown once."""
    from services.launcher.subscribers import Subscribers
    from shared.bus.outside import OUTSIDE_API, consumer_of

    made = Subscribers(_keys()).add(name, replay=replay)
    _wish("subscribers")
    port = _home().state / "nats_port"
    show_one(
        {
            "nats_url": f"nats://127.0.0.1:{port.read_text()}" if port.exists() else "",
            "user": consumer_of(name),
            "password": made.password,
            "stream": "EVENTS",
            "durable": consumer_of(name),
            "api_prefix": OUTSIDE_API,
        },
        output,
    )
    return OK


def list_(*, output: Output = None) -> int:
    """Who listens from outside."""
    from services.launcher.subscribers import Subscribers

    found = Subscribers(_keys()).all()
    show(
        [{"name": name, "replay": one.replay} for name, one in found.items()],
        ["name", "replay"],
        output,
    )
    return OK


def remove(name: str) -> int:
    """Let an outside system hear nothing any more."""
    from services.launcher.subscribers import Subscribers

    Subscribers(_keys()).remove(name)
    _wish("subscribers")
    return OK


def _wish(kind: Kind) -> None:
    """Have the launcher do it now, or at its next start."""
    from services.launcher.wishes import Wish, Wishes

    wishes, wish = Wishes(_home()), Wish(kind=kind)
    wishes.make(wish)
    if _home().in_use():
        wishes.wait(wish, PATIENCE_S)
    else:
        note("The platform does not run: this takes effect at its next start.")


def _home() -> DataDirectory:
    return DataDirectory.from_environment(os.environ)


def _keys() -> KeyFolder:
    return KeyFolder(_home().keys)


def register(app: App) -> None:
    """Add the commands of this file."""
    key = App(name="key", help="Keys of this installation.")
    key.command(rotate)
    key.command(status)
    key.command(export_recovery)
    key.command(import_, name="import")
    key.command(forget)
    subscriber = App(name="subscriber", help="Outside systems that hear what happens.")
    subscriber.command(add)
    subscriber.command(list_, name="list")
    subscriber.command(remove)
    app.command(key)
    app.command(subscriber)
