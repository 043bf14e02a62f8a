"""What the command line wishes of the launcher: files, so that neither need be there at once.

A wish that no launcher has fulfilled stands until one starts, so an interruption loses none.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Literal
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from services.launcher.directory import DataDirectory
from services.launcher.errors import LaunchError
from shared.keys.writing import private_folder, replace

Kind = Literal["secrets", "jwt", "nats", "master", "audit", "adopt", "subscribers"]
LOOK_EVERY_S = 0.2


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """Rotate the keys of a kind; or use the adopted keys, or let in the `subscribers`, that are in
    the folder now."""

    id: UUID = msgspec.field(default_factory=uuid7)
    kind: Kind


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a wish ended: with a cause where it was not fulfilled."""

    cause: str = ""
    fix: str = ""


class Wishes:
    """The wishes of one installation, oldest first."""

    def __init__(self, home: DataDirectory) -> None:
        self._folder = home.state / "wishes"

    def make(self, wish: Wish) -> None:
        private_folder(self._folder)
        replace(self._path(wish, "wish"), msgspec.json.encode(wish))

    def open(self) -> list[Wish]:
        """Those that stand."""
        return [
            msgspec.json.decode(path.read_bytes(), type=Wish)
            for path in sorted(self._folder.glob("*.wish"))
        ]

    def end(self, wish: Wish, outcome: Outcome) -> None:
        """Say how it ended; it stands no longer."""
        replace(self._path(wish, "outcome"), msgspec.json.encode(outcome))
        self._path(wish, "wish").unlink()

    def wait(self, wish: Wish, within_s: float) -> None:
        """Wait for the launcher; raises LaunchError with the cause where it could not."""
        path = self._path(wish, "outcome")
        deadline = time.monotonic() + within_s
        while not path.exists():
            if time.monotonic() > deadline:
                raise LaunchError(
                    "the launcher has not answered yet", fix="see its log; it goes on"
                )
            time.sleep(LOOK_EVERY_S)
        outcome = msgspec.json.decode(path.read_bytes(), type=Outcome)
        path.unlink()
        if outcome.cause:
            raise LaunchError(outcome.cause, fix=outcome.fix)

    def _path(self, wish: Wish, ending: str) -> Path:
        return self._folder / f"{wish.id.hex}.{ending}"
