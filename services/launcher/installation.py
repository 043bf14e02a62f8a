"""What one embedded installation consists of: passwords, and the environment of each service."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from services.launcher.directory import DataDirectory
from services.launcher.processes import Command
from services.launcher.roles import DATABASE, READER, WRITER
from shared.bus.connection import BusSettings
from shared.keys.files import KeyFolder
from shared.keys.writing import create, private_folder
from shared.settings import ConfigurationError

SERVICES = (
    "auditor",
    "gateway",
    "scheduler",
    "executor",
    "storage",
    "retention",
    "notifier",
    "health",
)
NATS_USERS = (*SERVICES, "bootstrap")
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "HOME", "LOG_LEVEL", "SSL_CERT_FILE", "TMPDIR")
PREFIXES_PASSED_ON = ("HOLDFAST_", "KILL_POINT", "OTEL_")
LIMIT = "SCHEDULER_POOL_LIMIT"
ON_THIS_MACHINE = {"ALLOW_LOOPBACK": "true"}
GATEWAYS, MOST_GATEWAYS = "GATEWAYS", 16
DEFAULTS = ("S3_", "SMTP_", "SLACK_")
"""What describes the first store and channels; only the gateway, which makes it, is told."""


class Passwords:
    """The passwords between our own parts: one file each, 0400, made once."""

    def __init__(self, keys: Path) -> None:
        self._folder = keys / "passwords"

    def ensure(self) -> None:
        """Make what is missing."""
        private_folder(self._folder)
        for name in (
            *(f"nats-{user}" for user in NATS_USERS),
            "postgres-writer",
            "postgres-reader",
        ):
            create(self._folder / name, secrets.token_urlsafe(24).encode())

    def file(self, name: str) -> Path:
        return self._folder / name

    def read(self, name: str) -> str:
        return self.file(name).read_text().strip()


class Installation:
    """One data directory with its keys: where to reach its servers, how to start its services."""

    def __init__(self, home: DataDirectory, keys: KeyFolder, passwords: Passwords) -> None:
        self.home, self.keys, self.passwords = home, keys, passwords
        self.nats_url = ""
        self.gateway_port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def admin_token(self) -> Path:
        """The one-time token of the first administrator; gone once used."""
        return self.home.root / "admin_token"

    def write_database_urls(self, port: int) -> None:
        """Put the URLs of both roles, with their passwords, into files of the state folder."""
        for role, name in ((WRITER, "writer"), (READER, "reader")):
            password = self.passwords.read(f"postgres-{name}")
            url = f"postgresql+asyncpg://{role}:{password}@127.0.0.1:{port}/{DATABASE}"
            _write_private(self.database_url(name), url)

    def database_url(self, role: str) -> Path:
        """The file with the URL of `writer` or `reader`."""
        return self.home.state / f"database_url.{role}"

    def bus_settings(self, user: str = "bootstrap") -> BusSettings:
        """How a service, or without its name the launcher itself, signs in to NATS."""
        return BusSettings(
            nats_url=self.nats_url,
            nats_user=user,
            nats_password=self.passwords.read(f"nats-{user}"),
        )

    def processes(self, service: str) -> list[str]:
        """The names of a service's processes; several gateways share their port."""
        count = gateways(os.environ) if service == "gateway" else 1
        return [service, *(f"{service}-{number}" for number in range(2, count + 1))]

    def command(self, service: str, process: str = "") -> Command:
        """How to run `python -m services.<service>`, with what it needs and nothing more."""
        return Command(
            name=process or service,
            argv=[sys.executable, "-m", f"services.{service}"],
            environment=self.environment(service) | metrics_port(service, process),
            log=self.home.log(process or service),
            directory=Path(__file__).resolve().parents[2],
        )

    def environment(self, service: str) -> dict[str, str]:
        """The whole environment of one service: addresses, and the files of its own secrets.

        An operator's `SCHEDULER_POOL_LIMIT` is the scheduler's own setting `POOL_LIMIT`; the
        gateway foretells by it, too.
        """
        wanted = {
            name: value
            for name, value in os.environ.items()
            if name in PASSED_ON or name.startswith(PREFIXES_PASSED_ON)
        }
        return (
            wanted
            | _settings_for(service)
            | {
                "PYTHONUNBUFFERED": "1",
                "NATS_URL": self.nats_url,
                "NATS_USER": service,
                "NATS_PASSWORD_FILE": str(self.passwords.file(f"nats-{service}")),
            }
            | {name: str(path) for name, path in self._secrets(service).items()}
            | self._own(service)
        )

    def _secrets(self, service: str) -> dict[str, Path]:
        role = "writer" if service == "auditor" else "reader"
        return secret_files(service, self.keys, self.database_url(role))

    def _own(self, service: str) -> dict[str, str]:
        """Everything runs on one machine, so its databases and stores may be on it, too."""
        if service == "gateway":
            limit = {"POOL_LIMIT": value} if (value := os.environ.get(LIMIT)) else {}
            sample = {"SAMPLE_DATA": "true"} if self.home.sample_data.exists() else {}
            return (
                limit
                | sample
                | ({"SHARED_PORT": "true"} if gateways(os.environ) > 1 else {})
                | ON_THIS_MACHINE
                | {
                    "GATEWAY_HOST": "127.0.0.1",
                    "GATEWAY_PORT": str(self.gateway_port),
                    "ADMIN_TOKEN_FILE": str(self.admin_token),
                }
                | {name: value for name, value in os.environ.items() if name.startswith(DEFAULTS)}
            )
        if service == "notifier":
            return {"NOTIFIER_ALLOW_LOOPBACK": "true"}
        return ON_THIS_MACHINE if service in {"executor", "scheduler", "storage"} else {}


def gateways(environment: Mapping[str, str]) -> int:
    """How many gateways run here; raises ConfigurationError when GATEWAYS is no such number."""
    given = environment.get(GATEWAYS, "1")
    if not given.isdecimal() or not 1 <= int(given) <= MOST_GATEWAYS:
        raise ConfigurationError(f"{GATEWAYS} is not a number from 1 to {MOST_GATEWAYS}")
    return int(given)


def new_admin_token() -> str:
    """The one-time token of the first administrator, which nobody can guess."""
    return secrets.token_urlsafe(24)


def secret_files(service: str, keys: KeyFolder, database_url: Path) -> dict[str, Path]:
    """Variable -> the file of each secret that a service needs, and of no other."""
    database = {"DATABASE_URL_FILE": database_url}
    opens = {"ENCRYPTION_KEY_FILE": keys.encryption_key}
    return {
        "auditor": database | {"AUDIT_KEY_FILE": keys.audit_key},
        "gateway": database | opens | {"SECRET_KEY_FILE": keys.secret_key},
        "scheduler": database | opens | {"KEK_FILE": keys.kek},
        "storage": database | opens,
        "notifier": database | opens,
        "health": database | opens,
        "retention": database,
        "executor": {
            "WORKER_KEY_FILE": keys.order_key,
            "WORKER_SIGNING_FILE": keys.signing_key,
            "WORKER_CERTIFICATE_FILE": keys.certificate,
        },
    }.get(service, {})


def metrics_port(service: str, process: str) -> dict[str, str]:
    """Of several gateways each has its own port for its metrics: the given one, and those after."""
    first, number = _settings_for(service).get("METRICS_PORT", ""), process.rpartition("-")[2]
    if not first.isdecimal() or int(first) == 0 or not number.isdecimal():
        return {}
    return {"METRICS_PORT": str(int(first) + int(number) - 1)}


def _settings_for(service: str) -> dict[str, str]:
    prefix = f"{service.upper()}_"
    return {
        name.removeprefix(prefix): value
        for name, value in os.environ.items()
        if name.startswith(prefix)
    }


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
