"""What the gateway reads from its environment."""

from __future__ import annotations

from ipaddress import ip_address

import msgspec

from shared.settings import ConfigurationError

SHORTEST_SECRET_KEY = 32


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`encryption_key`: Fernet keys, newest first, comma-separated. Paths end in `_file`."""

    database_url: str
    encryption_key: str
    secret_key: str
    gateway_host: str = "127.0.0.1"
    gateway_port: int = 7420
    tls_cert_file: str = ""
    tls_key_file: str = ""
    behind_proxy: bool = False
    admin_token_file: str = ""

    def __repr__(self) -> str:
        return f"Settings(gateway_host={self.gateway_host!r}, gateway_port={self.gateway_port})"

    @property
    def tls(self) -> bool:
        """Whether the gateway itself speaks TLS."""
        return bool(self.tls_cert_file)

    @property
    def secure(self) -> bool:
        """Whether browsers reach the gateway by https."""
        return self.tls or self.behind_proxy


def check(settings: Settings) -> None:
    """Raise ConfigurationError where the settings would expose accounts or cannot work."""
    if len(settings.secret_key) < SHORTEST_SECRET_KEY:
        raise ConfigurationError(f"SECRET_KEY is shorter than {SHORTEST_SECRET_KEY} characters")
    if bool(settings.tls_cert_file) != bool(settings.tls_key_file):
        raise ConfigurationError("TLS_CERT_FILE and TLS_KEY_FILE belong together")
    if not settings.secure and not _is_loopback(settings.gateway_host):
        raise ConfigurationError(
            f"GATEWAY_HOST {settings.gateway_host} would send passwords in clear over the network",
            fix="set TLS_CERT_FILE and TLS_KEY_FILE, or BEHIND_PROXY=true behind a proxy with TLS",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
