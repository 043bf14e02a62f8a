"""What the platform reaches by a URL: does it answer there, and until when does its certificate
hold."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from services.launcher.doctor.findings import Finding, bad, doubtful, well
from services.launcher.doctor.opened import Settings
from shared.addresses import reachable
from shared.certificates import CertificateError, valid_until
from shared.errors import PlatformError

WITHIN_S = 5.0
SOON = timedelta(days=21)
CERTIFICATES = ("GATEWAY_TLS_CERT_FILE", "NATS_CA_FILE")
RENEW = "renew it, with its chain, before it ends"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a setting leads; `tls`: from the first byte on."""

    host: str
    port: int
    tls: bool
    ca: str = ""

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def place_of(config: Mapping[str, Any]) -> Place | None:
    """The place that the settings of a store or channel name; None where they name none."""
    ca = str(config.get("ca_certificate") or "")
    url = urlsplit(str(config.get("url") or config.get("endpoint") or ""))
    if url.hostname:
        tls = url.scheme == "https"
        return Place(host=url.hostname, port=url.port or (443 if tls else 80), tls=tls, ca=ca)
    if host := config.get("host"):
        tls = config.get("security") == "tls"
        return Place(host=str(host), port=int(config.get("port") or 587), tls=tls, ca=ca)
    return None


async def each_url(settings: Settings) -> AsyncIterator[Finding]:
    """Of every store and channel that names one; nothing is asked of it."""
    try:
        async for one in settings.stores():
            if place := place_of(one.config):
                yield await reached(f"endpoint of store {one.name}", place)
        async for one in settings.channels():
            if place := place_of(one.config):
                yield await reached(f"channel {one.name}", place)
    except PlatformError as error:  # a secret that cannot be opened
        yield bad("channels", error.cause, error.fix)


async def reached(name: str, place: Place) -> Finding:
    """Connects, no more."""
    fix = "check the address, its firewall, and the certificate that it shows"
    try:
        async with asyncio.timeout(WITHIN_S):
            ends = await _connected(place)
    except ssl.SSLCertVerificationError as error:
        return bad(name, f"the certificate of {place}: {error.verify_message}", RENEW)
    except PlatformError as error:
        return bad(name, f"{place}: {error.cause}", error.fix)
    except (OSError, ValueError):  # TimeoutError, SSLError, a certificate authority that is none
        return bad(name, f"{place} does not answer", fix)
    return well(name, f"{place} answers") if ends is None else holds(name, ends)


async def _connected(place: Place) -> datetime | None:
    """When its certificate ends, if it shows one. What it resolves to is what is connected to."""
    found = await reachable(place.host, place.port, allow_private=True, allow_loopback=True)
    context = ssl.create_default_context(cadata=place.ca or None) if place.tls else None
    _, writer = await asyncio.open_connection(
        found[0][1],
        place.port,
        ssl=context,
        server_hostname=place.host if context else None,
    )
    try:
        shown = writer.get_extra_info("peercert")
        return _ended(shown["notAfter"]) if shown else None
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _ended(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)


def holds(name: str, ends: datetime) -> Finding:
    """A certificate that ends then."""
    left = ends - datetime.now(UTC)
    if left <= timedelta():
        return bad(name, f"the certificate ended on {ends:%Y-%m-%d}", RENEW)
    says = f"the certificate holds until {ends:%Y-%m-%d}"
    return doubtful(name, says, RENEW) if left < SOON else well(name, says)


def certificates(root: Path, environment: Mapping[str, str]) -> list[Finding]:
    """The certificates that lie on this machine: of a deployment's folder, and named ones."""
    named = [Path(environment[name]) for name in CERTIFICATES if environment.get(name)]
    return [_file(path) for path in [*sorted((root / "tls").glob("*.pem")), *named]]


def _file(path: Path) -> Finding:
    name = f"certificate {path.name}"
    try:
        return holds(name, valid_until(path.read_bytes()))
    except (OSError, CertificateError):
        return bad(name, f"{path} cannot be read as a certificate", "give it in PEM")
