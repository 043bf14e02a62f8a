"""The data directory of one installation: its layout, and the lock that lets one launcher in."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from services.launcher.errors import DirectoryInUseError, LaunchError


class DataDirectory:
    """Where everything of an installation lives; 0700, nothing of it is anybody else's."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> DataDirectory:
        """`HOLDFAST_HOME`, else `~/.holdfast`."""
        return cls(Path(environment.get("HOLDFAST_HOME") or "~/.holdfast"))

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def nats(self) -> Path:
        return self.root / "nats"

    @property
    def keys(self) -> Path:
        """Key files, 0400 each."""
        return self.root / "keys"

    @property
    def stores(self) -> Path:
        """Archives of the store that every installation begins with."""
        return self.root / "stores"

    @property
    def state(self) -> Path:
        """What the launcher keeps from start to start, such as ports."""
        return self.root / "state"

    @property
    def sample_data(self) -> Path:
        """A file that is there when everything in this installation is made up."""
        return self.state / "sample_data"

    def log(self, name: str) -> Path:
        return self.root / "logs" / f"{name}.log"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make the layout and hold the directory for this process.

        Raises DirectoryInUseError if another process holds it; the kernel lets go of a dead one's.
        """
        self._make()
        with (self.root / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                raise DirectoryInUseError(
                    f"{self.root} is in use by process {lock.read().strip() or 'unknown'}"
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            yield

    def in_use(self) -> bool:
        """Whether a process holds the directory now."""
        try:
            with (self.root / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        return False

    def _make(self) -> None:
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root.chmod(0o700)
            for folder in (self.nats, self.keys, self.stores, self.state, self.root / "logs"):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise LaunchError(
                f"the data directory {self.root} cannot be used: {error.strerror}",
                fix="set HOLDFAST_HOME to a directory of your own",
            ) from error
