"""`holdfast init` makes a deployment that works: servers and services start from it."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import nats
import pytest

from services.launcher.nats_server import NatsServer
from services.launcher.ports import free_port
from tests.support.postgres import Postgres, postgres_server
from tests.support.waiting import eventually

SERVICES = (
    *("auditor", "gateway", "scheduler", "executor"),
    *("storage", "retention", "notifier", "health"),
)


def holdfast(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line, with nothing of our own environment but PATH."""
    return subprocess.run(
        [sys.executable, "-m", "services.cli.main", *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


class Made:
    """What `init` made in a folder, and where its servers are to be."""

    def __init__(self, out: Path, database_port: int) -> None:
        self.out, self.database_port = out, database_port
        self.nats_port, self.gateway_port = free_port(), free_port()

    def init(self) -> dict[str, object]:
        done = holdfast(
            *("init", "--out", str(self.out), "--host", "localhost", "--host", "127.0.0.1"),
            *("--nats", f"localhost:{self.nats_port}"),
            *("--postgres", f"127.0.0.1:{self.database_port}"),
            *("--gateway-port", str(self.gateway_port), "-o", "json"),
        )
        assert done.returncode == 0, done.stderr
        said: dict[str, object] = json.loads(done.stdout)
        return said

    def environment(self, service: str) -> dict[str, str]:
        """What its file says, as a container gets it."""
        lines = (self.out / "env" / f"{service}.env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def contents(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.out)): path.read_bytes()
            for path in self.out.rglob("*")
            if path.is_file()
        }

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.out / "tls/authority.pem"))

    @contextmanager
    def service(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        environment = {"PATH": os.environ["PATH"], **self.environment(name)}
        command = [sys.executable, "-m", "services.cli.main", "serve", name]
        with (
            (self.out / f"{name}.log").open("ab") as log,
            subprocess.Popen(command, env=environment, stderr=log) as child,
        ):
            try:
                yield child
            finally:
                child.terminate()


@pytest.fixture
def made(tmp_path: Path) -> Made:
    made = Made(tmp_path / "deployment", free_port())
    made.init()
    return made


def test_everything_is_private_and_nothing_is_overwritten(made: Made) -> None:
    before = made.contents()
    modes = {
        (path.is_dir(), stat.S_IMODE(path.stat().st_mode))
        for path in (made.out, *made.out.rglob("*"))
    }

    again = made.init()

    assert modes == {(True, 0o700), (False, 0o400)}
    assert again["files_made"] == 0
    assert made.contents() == before


def test_environments_name_files_and_hold_no_secret(made: Made) -> None:
    secrets = [
        content.strip()
        for name, content in made.contents().items()
        if (name.startswith("keys/") and b"{" not in content) or name == "admin_token"
    ]

    for service in (*SERVICES, "bootstrap"):
        text = (made.out / "env" / f"{service}.env").read_bytes()
        assert not [secret for secret in secrets if secret in text]
        for name, value in made.environment(service).items():
            assert not name.endswith("_FILE") or Path(value).is_file(), name


def test_a_service_is_told_of_its_own_secrets_only(made: Made) -> None:
    holders = {
        key: {s for s in SERVICES if key in made.environment(s).values()}
        for key in (str(made.out / "keys" / name) for name in ("kek", "audit_key", "secret_key"))
    }

    assert [*holders.values()] == [{"scheduler"}, {"auditor"}, {"gateway"}]


def test_a_lost_password_is_made_anew_and_the_rest_stays(made: Made) -> None:
    before = made.contents()
    for name in ("keys/passwords/nats-gateway", "nats/server.conf"):
        (made.out / name).unlink()

    assert made.init()["files_made"] == 1  # the passwords are not counted: they are keys

    changed = {name for name, content in made.contents().items() if before[name] != content}
    assert changed == {"keys/passwords/nats-gateway", "nats/server.conf"}


async def test_servers_and_services_start_from_the_folder_alone(tmp_path: Path) -> None:
    with ExitStack() as stack:
        postgres = stack.enter_context(postgres_server(tmp_path / "postgres"))
        made = Made(tmp_path / "deployment", postgres.port)
        made.init()
        _load_roles(postgres, made.out / "postgres/roles.sql")
        server = NatsServer(
            made.out / "nats/server.conf", port=made.nats_port, log=tmp_path / "nats.log"
        )
        server.start()
        stack.callback(server.kill9)
        first, second = (holdfast("bootstrap", **made.environment("bootstrap")) for _ in range(2))
        assert first.returncode == second.returncode == 0, first.stderr + second.stderr
        for name in ("auditor", "gateway", "storage"):
            stack.enter_context(made.service(name))

        async with httpx.AsyncClient(verify=made.trust(), timeout=10) as client:
            base = f"https://localhost:{made.gateway_port}"
            await eventually(lambda: _ready(client, base), within=90, what="the gateway is ready")
            body = {
                "token": (made.out / "admin_token").read_text(),
                "name": "Ada",
                "email": "ada@example.com",
                "password": "correct horse battery",
            }
            answer = await client.post(f"{base}/api/v1/setup", json=body)

        assert answer.status_code == 201, answer.text
        with pytest.raises(ssl.SSLError):
            await nats.connect(
                f"tls://localhost:{made.nats_port}",
                user="gateway",
                password=(made.out / "keys/passwords/nats-gateway").read_text(),
                tls=ssl.create_default_context(),
                allow_reconnect=False,
                max_reconnect_attempts=1,
            )


def _load_roles(postgres: Postgres, script: Path) -> None:
    postgres.execute(script.read_text())


async def _ready(client: httpx.AsyncClient, base: str) -> bool:
    await asyncio.sleep(0.2)
    try:
        return (await client.get(f"{base}/readyz")).status_code == 200
    except httpx.TransportError:
        return False
