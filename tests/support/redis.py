"""A Redis server of a test, from Debian's package: start, ask, stop."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.launcher.ports import free_port

PASSWORD = "canary-redis"


class RedisServer:
    """A running server; `cli` asks it."""

    host, user = "127.0.0.1", ""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port, self.password = free_port(), PASSWORD
        folder.mkdir(parents=True, exist_ok=True)
        argv = [
            _program("redis-server"),
            *("--port", str(self.port), "--bind", self.host, "--dir", str(folder), "--save", ""),
            *("--requirepass", PASSWORD, "--repl-diskless-sync-delay", "0"),
            *("--enable-debug-command", "local", *options),
        ]
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(argv, stdout=self._log, stderr=self._log)

    def cli(self, *words: str, stdin: str | None = None, database: int = 0) -> str:
        """What `redis-cli` prints."""
        argv = [_program("redis-cli"), "-p", str(self.port), "-n", str(database), *words]
        done = subprocess.run(
            argv,
            input=stdin,
            env={"REDISCLI_AUTH": PASSWORD},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.stdout.strip()

    def digest(self) -> str:
        """The server's own hash of every key, value and time of expiry, in any order."""
        return self.cli("DEBUG", "DIGEST")

    def kill(self) -> None:
        """Kill it, and wait until it is gone."""
        self._process.kill()
        self._process.wait()
        self._log.close()


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise AssertionError(f"{name} is missing: make test installs it as root, else apt does")
    return found


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A server that answers, killed at the end."""
    server = RedisServer(folder, *options)
    try:
        deadline = time.monotonic() + 20
        while server.cli("PING") != "PONG":
            if time.monotonic() > deadline:
                raise AssertionError("redis-server does not answer")
            time.sleep(0.05)
        yield server
    finally:
        server.kill()
