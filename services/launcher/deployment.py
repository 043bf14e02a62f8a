"""Everything that a deployment on many machines needs, made in one folder: `holdfast init`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from services.launcher import roles
from services.launcher.deployment_page import page
from services.launcher.installation import (
    SERVICES,
    Passwords,
    new_admin_token,
    secret_files,
)
from shared.bus.configuration import Tls, render_config
from shared.keys.authority import Authority, Pair
from shared.keys.files import KeyFolder, ensure_keys, platform_setting
from shared.keys.reading import read_bytes
from shared.keys.writing import create, private_folder

ANYWHERE = "0.0.0.0"  # noqa: S104 - in a container; TLS is on


class Place(msgspec.Struct, frozen=True):
    """Where a server is reached."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`out`: where files are made now. `at`: under which path the services will find them.
    `hosts`: the names and addresses under which people reach the gateway."""

    out: Path
    at: Path
    hosts: tuple[str, ...]
    gateway_port: int
    nats: Place
    postgres: Place

    def found(self, path: Path) -> Path:
        """Where a service will find what is made at `path`."""
        return self.at / path.relative_to(self.out)


class Deployment:
    """What lies in the folder. Each file is made once, and kept from then on."""

    def __init__(self, plan: Plan) -> None:
        self._plan, self._out = plan, plan.out
        self._made: list[Path] = []

    def make(self) -> list[Path]:
        """Make what is missing; the files that were made now. Raises KeyFileError."""
        for folder in ("", "keys", "tls", "nats", "postgres", "env"):
            private_folder(self._out / folder)
        keys = ensure_keys(self._out / "keys")
        passwords = Passwords(keys.folder)
        passwords.ensure()
        self._make_certificates()
        self._make_servers(passwords)
        self._make_identity(keys)
        self._make_environments(keys)
        self._put("README.md", page(self._plan.out, self._plan.at))
        return self._made

    def _make_certificates(self) -> None:
        authority = self._authority()
        names = {"nats": (self._plan.nats.host, "localhost"), "gateway": self._plan.hosts}
        for server, called in names.items():
            if not self._path(f"tls/{server}.pem").exists():
                self._put_pair(server, authority.certify(*dict.fromkeys(called)))

    def _authority(self) -> Authority:
        certificate, key = self._path("tls/authority.pem"), self._path("tls/authority.key")
        if not certificate.exists():
            made = Authority.make("Holdfast")
            self._put_pair("authority", made.pair)
        return Authority(Pair(read_bytes(certificate), read_bytes(key)))

    def _put_pair(self, name: str, pair: Pair) -> None:
        self._put(f"tls/{name}.key", pair.key)
        self._put(f"tls/{name}.pem", pair.certificate)

    def _make_servers(self, passwords: Passwords) -> None:
        plan, read = self._plan, passwords.read
        config = render_config(
            host=ANYWHERE,
            port=plan.nats.port,
            store_dir=plan.at / "nats" / "store",
            passwords={user: read(f"nats-{user}") for user in (*SERVICES, "bootstrap")},
            tls=Tls(self._found("tls/nats.pem"), self._found("tls/nats.key")),
        )
        self._put("nats/server.conf", config)
        writer, reader = read("postgres-writer"), read("postgres-reader")
        self._put("postgres/roles.sql", roles.script(writer=writer, reader=reader))
        for role, name, password in (
            (roles.WRITER, "writer", writer),
            (roles.READER, "reader", reader),
        ):
            url = f"postgresql://{role}:{password}@{plan.postgres}/{roles.DATABASE}"
            self._put(f"postgres/database_url.{name}", url)

    def _make_identity(self, keys: KeyFolder) -> None:
        if not self._path("platform.json").exists():
            self._put("platform.json", msgspec.json.encode(platform_setting(keys)))
            self._put("admin_token", new_admin_token())

    def _make_environments(self, keys: KeyFolder) -> None:
        for service in SERVICES:
            role = "writer" if service == "auditor" else "reader"
            url = self._path(f"postgres/database_url.{role}")
            files = secret_files(service, keys, url)
            named = {name: str(self._plan.found(path)) for name, path in files.items()}
            self._put_environment(service, named | self._own(service))
        self._put_environment("bootstrap", {"PLATFORM_FILE": str(self._found("platform.json"))})

    def _own(self, service: str) -> dict[str, str]:
        if service != "gateway":
            return {}
        return {
            "GATEWAY_HOST": ANYWHERE,
            "GATEWAY_PORT": str(self._plan.gateway_port),
            "TLS_CERT_FILE": str(self._found("tls/gateway.pem")),
            "TLS_KEY_FILE": str(self._found("tls/gateway.key")),
            "ADMIN_TOKEN_FILE": str(self._found("admin_token")),
        }

    def _put_environment(self, service: str, own: dict[str, str]) -> None:
        values = {
            "NATS_URL": f"nats://{self._plan.nats}",
            "NATS_CA_FILE": str(self._found("tls/authority.pem")),
            "NATS_USER": service,
            "NATS_PASSWORD_FILE": str(self._found(f"keys/passwords/nats-{service}")),
        } | own
        self._put(f"env/{service}.env", "".join(f"{k}={v}\n" for k, v in values.items()))

    def _put(self, name: str, content: str | bytes) -> None:
        data = content.encode() if isinstance(content, str) else content
        if create(self._path(name), data):
            self._made.append(self._path(name))

    def _path(self, name: str) -> Path:
        return self._out / name

    def _found(self, name: str) -> Path:
        return self._plan.found(self._path(name))
