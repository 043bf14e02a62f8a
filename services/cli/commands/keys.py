"""Keys outside the log, and who may listen from outside."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from cyclopts import App, Parameter

from services.cli.errors import OK
from services.cli.output import Output, note, show, show_one
from services.launcher.directory import DataDirectory
from shared.keys.files import KeyFolder

PATIENCE_S = 300.0

Rotated = Annotated[
    Literal["secrets", "jwt", "nats"],
    Parameter(help="What seals secrets, what signs tokens, or the passwords of services in NATS"),
]


def rotate(*, kind: Rotated) -> int:
    """Replace a key of the installation on this machine; running services are started anew."""
    _wish(kind)
    if kind != "nats":
        note("The recovery sheet is no longer complete: print it again (holdfast recovery-sheet).")
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


def _wish(kind: Literal["secrets", "jwt", "nats", "subscribers"]) -> None:
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
    subscriber = App(name="subscriber", help="Outside systems that hear what happens.")
    subscriber.command(add)
    subscriber.command(list_, name="list")
    subscriber.command(remove)
    app.command(key)
    app.command(subscriber)
