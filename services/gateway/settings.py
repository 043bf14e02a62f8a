"""What the gateway reads from its environment."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_address
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from services.gateway.peers import Networks, listed, networks
from services.gateway.sessions import Limits
from shared.certificates import CertificateError, check_pair
from shared.keys.secret_keys import secret_keys
from shared.keys.vault import key_faults
from shared.readmodel.url import database_faults

SHORTEST_SECRET_KEY = 32
LONGEST_SESSION_S = 30 * 86400
"""The bucket of sessions forgets after that."""

_ORIGIN = re.compile(r"^https?://[A-Za-z0-9.-]+(:\d{1,5})?$")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """`encryption_key`: Fernet keys, newest first, comma-separated. `tls_cert` and `tls_key`: PEM,
    the certificate with its chain; where they come from files (`tls_cert_file`, `tls_key_file`), a
    renewed certificate is taken from there without a restart.

    `trusted_proxies`: networks whose X-Forwarded-For is believed. `allowed_addresses`: networks
    that may call at all (empty: any). `cors_origins`: sites whose pages may use a bearer token.
    All three are comma-separated. `requests_per_minute`: of one account or key; of one address a
    third of it without a valid token; 0 is no limit. `secret_key`: see
    `shared.keys.secret_keys`. `undo_window_s`: how long the deletion of a backup can be taken
    back, before it begins. `pool_limit`: the scheduler's, to foretell conflicts by.
    `allow_loopback`: whether stores may be on this very machine. `sample_data`: whether everything
    here is made up, which every page then says. `shared_port`: other gateways answer at the same
    port, so that `/metrics` there leaves out what one process counts."""

    database_url: str
    encryption_key: str
    secret_key: str
    gateway_host: str = "127.0.0.1"
    gateway_port: int = 7420
    tls_cert: str = ""
    tls_key: str = ""
    tls_cert_file: str = ""
    tls_key_file: str = ""
    behind_proxy: bool = False
    trusted_proxies: str = ""
    allowed_addresses: str = ""
    cors_origins: str = ""
    session_idle_s: int = 7 * 86400
    session_longest_s: int = 30 * 86400
    requests_per_minute: int = 30_000
    pool_limit: Annotated[int, Meta(ge=1)] = 4
    allow_loopback: bool = False
    sample_data: bool = False
    shared_port: bool = False
    undo_window_s: Annotated[float, Meta(ge=0, le=31 * 86_400)] = 86_400.0
    admin_token_file: str = ""

    def __repr__(self) -> str:
        return f"Settings(gateway_host={self.gateway_host!r}, gateway_port={self.gateway_port})"

    @property
    def proxies(self) -> Networks:
        """The peers whose X-Forwarded-For is believed."""
        return networks(self.trusted_proxies)

    @property
    def allowed(self) -> Networks:
        """The networks that may call; empty for all."""
        return networks(self.allowed_addresses)

    @property
    def limits(self) -> Limits:
        """How long sessions live."""
        return Limits(
            idle=timedelta(seconds=self.session_idle_s),
            longest=timedelta(seconds=self.session_longest_s),
        )

    @property
    def tls(self) -> bool:
        """Whether the gateway itself speaks TLS."""
        return bool(self.tls_cert)

    @property
    def secure(self) -> bool:
        """Whether browsers reach the gateway by https."""
        return self.tls or self.behind_proxy

    def faults(self) -> list[str]:
        """What would expose accounts, or cannot work; see `shared.settings.Checked`."""
        faults = [*database_faults(self.database_url), *key_faults(self.encryption_key)]
        if min(len(key.text) for key in secret_keys(self.secret_key)) < SHORTEST_SECRET_KEY:
            faults.append(f"SECRET_KEY is shorter than {SHORTEST_SECRET_KEY} characters")
        if bool(self.tls_cert) != bool(self.tls_key):
            faults.append("TLS_CERT and TLS_KEY belong together")
        elif self.tls:
            faults += _certificate_faults(self.tls_cert, self.tls_key)
        if not self.secure and not _is_loopback(self.gateway_host):
            faults.append(
                f"GATEWAY_HOST {self.gateway_host} would send passwords in clear over the network:"
                " set TLS_CERT and TLS_KEY, or BEHIND_PROXY=true behind a proxy with TLS"
            )
        return faults + self._fence_faults()

    def _fence_faults(self) -> list[str]:
        faults: list[str] = []
        for name in ("trusted_proxies", "allowed_addresses"):
            try:
                networks(getattr(self, name))
            except ValueError:
                faults.append(f"{name.upper()} is not a list of networks such as 10.0.0.0/8")
        if not all(_ORIGIN.match(origin) for origin in listed(self.cors_origins)):
            faults.append("CORS_ORIGINS: an origin is https://host, without a path")
        if not 0 < self.session_idle_s <= self.session_longest_s <= LONGEST_SESSION_S:
            faults.append(
                "SESSION_IDLE_S is at most SESSION_LONGEST_S, and that at most 2592000 (30 days)"
            )
        if self.requests_per_minute < 0:
            faults.append("REQUESTS_PER_MINUTE is negative")
        return faults


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What an installation begins with, given by its environment; see `defaults.py`.

    `s3_endpoint` is empty for AWS. `s3_allow_http`: the endpoint may be plain HTTP. `smtp_to`:
    addresses, comma-separated. `smtp_allow_private`: the mail server is in the inner network.
    """

    s3_endpoint: str = ""
    s3_access_key: str = ""
    s3_secret_key: str = ""
    s3_bucket: str = ""
    s3_region: str = "us-east-1"
    s3_allow_http: bool = False
    smtp_host: str = ""
    smtp_port: int = 587
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_username: str = ""
    smtp_password: str = ""
    smtp_from: str = ""
    smtp_to: str = ""
    smtp_allow_private: bool = False
    slack_webhook_url: str = ""

    def __repr__(self) -> str:
        return "Defaults(***)"

    def faults(self) -> list[str]:
        """See `shared.settings.Checked`."""
        return [*self._s3_faults(), *self._smtp_faults()]

    def _smtp_faults(self) -> list[str]:
        wanted = {
            "SMTP_HOST": self.smtp_host,
            "SMTP_FROM": self.smtp_from,
            "SMTP_TO": self.smtp_to,
        }
        if not any([*wanted.values(), self.smtp_username, self.smtp_password]):
            return []
        return [f"{name} is not set, but another SMTP_ is" for name, v in wanted.items() if not v]

    def _s3_faults(self) -> list[str]:
        wanted = {
            "S3_BUCKET": self.s3_bucket,
            "S3_ACCESS_KEY": self.s3_access_key,
            "S3_SECRET_KEY": self.s3_secret_key,
        }
        if not any([*wanted.values(), self.s3_endpoint]):
            return []
        faults = [f"{name} is not set, but another S3_ is" for name, v in wanted.items() if not v]
        if self.s3_endpoint.startswith("http://") and not self.s3_allow_http:
            faults.append("S3_ENDPOINT is plain HTTP: use https://, or set S3_ALLOW_HTTP=true")
        return faults


def _certificate_faults(certificate: str, key: str) -> list[str]:
    try:
        check_pair(certificate.encode(), key.encode())
    except CertificateError as error:
        return [f"TLS_CERT and TLS_KEY: {error.cause}"]
    return []


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
