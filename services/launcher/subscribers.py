"""Outside systems that hear the facts: one private file each says who there is."""

from __future__ import annotations

import secrets
from pathlib import Path

import msgspec

from shared.errors import ConflictError, InvalidInputError, NotFoundError
from shared.keys.files import KeyFolder
from shared.keys.writing import create, private_folder, sync_folder
from shared.messages.base import checked


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """One outside system. `replay`: it begins with the first fact of the log."""

    password: str
    replay: bool = False

    def __repr__(self) -> str:
        return f"Subscriber(replay={self.replay})"


class Subscribers:
    """The outside systems of one installation."""

    def __init__(self, keys: KeyFolder) -> None:
        self._folder = keys.folder / "subscribers"

    def add(self, name: str, *, replay: bool) -> Subscriber:
        """A new one; raises ConflictError for a name that is taken."""
        private_folder(self._folder)
        made = Subscriber(password=secrets.token_urlsafe(24), replay=replay)
        if not create(self._path(name), msgspec.json.encode(made)):
            raise ConflictError(f"there is a subscriber {name} already", fix="remove it first")
        return made

    def remove(self, name: str) -> None:
        """Forget one; raises NotFoundError."""
        path = self._path(name)
        if not path.exists():
            raise NotFoundError(f"there is no subscriber {name}")
        path.unlink()
        sync_folder(self._folder)

    def all(self) -> dict[str, Subscriber]:
        """Each by its name."""
        if not self._folder.is_dir():
            return {}
        return {
            path.name: msgspec.json.decode(path.read_bytes(), type=Subscriber)
            for path in sorted(self._folder.iterdir())
            if not path.name.startswith(".")
        }

    def _path(self, name: str) -> Path:
        try:
            return self._folder / checked(name)
        except ValueError:
            raise InvalidInputError(
                "this is no name of a subscriber", fix="use letters, digits, - and _, at most 64"
            ) from None
