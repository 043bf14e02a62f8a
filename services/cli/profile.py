"""What the command line remembers: the gateway's address and the session's tokens, 0600."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from services.cli.errors import InClearError
from services.launcher.directory import DataDirectory

DEFAULT_PORT = 7420


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """One signed-in session at one gateway."""

    url: str
    access_token: str
    refresh_token: str

    def __repr__(self) -> str:
        return f"Login(url={self.url!r})"


class Profile:
    """The folder `holdfast` of the user's configuration."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        base = environment.get("XDG_CONFIG_HOME") or "~/.config"
        self._folder = Path(base).expanduser() / "holdfast"
        self._environment = environment

    @property
    def token_file(self) -> Path | None:
        """A file with an access token, which goes before any remembered session."""
        path = self._environment.get("HOLDFAST_TOKEN_FILE")
        return Path(path) if path else None

    def url(self) -> str:
        """HOLDFAST_URL, else where the session is, else the platform on this machine."""
        known = self.login()
        named = self._environment.get("HOLDFAST_URL") or (known.url if known else None)
        return refuse_in_clear(named or f"http://127.0.0.1:{self._embedded_port()}")

    def login(self) -> Login | None:
        """The remembered session, or None."""
        try:
            return msgspec.json.decode((self._folder / "login.json").read_bytes(), type=Login)
        except (OSError, msgspec.DecodeError):
            return None

    def remember(self, login: Login) -> None:
        """Keep the session; readable by this user only, never half written."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._folder / f".login.{os.getpid()}"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(login))
        new.replace(self._folder / "login.json")

    def forget(self) -> None:
        """Remember no session."""
        (self._folder / "login.json").unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Only one process at a time renews: a refresh token works once."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _embedded_port(self) -> int:
        home = DataDirectory.from_environment(self._environment)
        try:
            return int((home.state / "gateway_port").read_text())
        except (OSError, ValueError):
            return DEFAULT_PORT


def refuse_in_clear(url: str) -> str:
    """`url` without a slash at its end; raises InClearError for http:// to another machine."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
        raise InClearError(f"{parts.scheme}://{parts.hostname} is not encrypted")
    return url.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
