"""`holdfast up` as a process: it keeps everything, and whatever ends it, nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.cli.demo.api import Api, first_admin
from services.launcher.directory import DataDirectory
from services.launcher.ports import free_port
from tests.support.platform import command_line, environment_of, every_process
from tests.support.waiting import eventually, eventually_sync

pytestmark = pytest.mark.timeout(300)

UP = (
    "import sys; from services.launcher.up import run_up\n"
    "from services.launcher.directory import DataDirectory\n"
    "import os; sys.exit(run_up(DataDirectory.from_environment(os.environ)))"
)
PASSWORD = "a password of twelve words"
READY_S = 120


class Up:
    """A launcher process on a data directory."""

    def __init__(self, home: Path, **variables: str) -> None:
        self.home = home
        self.said = home.parent / "said"
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-c", UP],
                env={"PATH": os.environ["PATH"], "HOLDFAST_HOME": str(home), **variables},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{(self.home / 'state' / 'gateway_port').read_text()}"

    def ready(self) -> None:
        """Wait until it says so; it must not end before."""

        def says() -> bool:
            assert self.process.poll() is None, self.said.read_text()
            return "is ready" in self.said.read_text()

        eventually_sync(says, within=READY_S)

    def parts(self) -> list[int]:
        """Every process that works on this data directory, the launcher not counted."""
        home = str(self.home).encode()
        return [
            pid
            for pid in every_process()
            if pid != self.process.pid
            and (home in command_line(pid) or home in environment_of(pid))
        ]


@contextmanager
def started(home: Path, **variables: str) -> Iterator[Up]:
    up = Up(home, **variables)
    try:
        up.ready()
        yield up
    finally:
        up.process.kill()
        up.process.wait()
        eventually_sync(lambda: not up.parts(), within=30)


def gateways_of(up: Up) -> list[int]:
    return [pid for pid in up.parts() if command_line(pid).endswith(b"services.gateway\0")]


def listeners_at(port: int) -> int:
    """How many sockets listen at this port of 127.0.0.1."""
    lines = Path("/proc/net/tcp").read_text().splitlines()
    place, listening = f"0100007F:{port:04X}", "0A"
    return sum(line.split()[1] == place and line.split()[3] == listening for line in lines[1:])


async def policy(url: str, policy_id: str) -> dict[str, Any]:
    """Read by somebody who signs in, over a new connection."""
    async with aiohttp.ClientSession(url) as session:
        body = {"email": "admin@example.com", "password": PASSWORD}
        signed_in = await Api(session).post("/auth/login", body)
        session.headers["Authorization"] = f"Bearer {signed_in['access_token']}"
        return await Api(session).get(f"/policies/{policy_id}")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = DataDirectory(tmp_path / "h")
    with home.locked():
        (home.state / "gateway_port").write_text(str(free_port()))
    return home.root


async def test_a_second_start_keeps_everything_and_nothing_outlives_any_ending(home: Path) -> None:
    with started(home) as up:
        running = up.parts()
        token = (home / "admin_token").read_text().strip()
        async with first_admin(up.url, token, PASSWORD) as api:
            made = await api.post("/policies", {"name": "kept", "keep_last": 3})
        up.process.send_signal(signal.SIGINT)
        interrupted = up.process.wait(60)
        left_by_interrupt = up.parts()

    with started(home, GATEWAYS="2") as up:
        gateways = gateways_of(up)
        port = int((home / "state" / "gateway_port").read_text())
        await eventually(lambda: listeners_at(port) == 2)
        os.kill(gateways[0], signal.SIGKILL)
        await eventually(lambda: listeners_at(port) == 1)
        kept = await policy(up.url, made["id"])
        offered_again = (home / "admin_token").exists()
        up.process.kill()
        up.process.wait()
        await eventually(lambda: not up.parts(), within=15)

    assert len(running) >= 10  # PostgreSQL, nats-server and eight services
    assert (interrupted, left_by_interrupt) == (0, [])
    assert len(gateways) == 2
    assert kept == made
    assert not offered_again


async def test_a_second_launcher_on_the_same_directory_is_refused_by_name(home: Path) -> None:
    with started(home) as up:
        second = Up(home)
        status = second.process.wait(60)
        said = second.said.read_text()
        still_ready = up.process.poll() is None

    assert status == 1
    assert "is in use by process" in said
    assert still_ready
