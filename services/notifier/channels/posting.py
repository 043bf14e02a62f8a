"""One POST to a receiver somebody else chose: only to addresses that were checked, and bounded."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from services.notifier.channels.address import resolve
from services.notifier.channels.base import (
    ChannelSettingsError,
    NotAcceptedError,
    ReceiverGoneError,
)
from shared.addresses import Addresses

if TYPE_CHECKING:
    import aiohttp

TIMEOUT_S = 5.0

Url = Annotated[
    str,
    Meta(
        title="URL",
        description="Where notes are posted, kept secret; redirects are not followed",
        max_length=2048,
        pattern=r"^https?://[^\s@]+$",
        extra_json_schema={"writeOnly": True},
    ),
]
CaCertificate = Annotated[
    str,
    Meta(title="CA certificate", description="PEM, if the receiver's is not a public one"),
]
AllowPrivate = Annotated[
    bool,
    Meta(
        title="Private address",
        description="The receiver is in a private network; else its address is refused",
    ),
]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where to post, and what the caller allows."""

    url: str
    ca_certificate: str
    allow_private: bool
    allow_loopback: bool

    def __repr__(self) -> str:
        return "Target(***)"


async def post(target: Target, body: bytes, headers: dict[str, str]) -> None:
    """POST `body` once, within TIMEOUT_S; returning means the receiver answered 2xx.

    Raises as `Channel.send` does. Nothing of the answer but its status is read: its body may be
    endless, and nobody may see it anyway.
    """
    import aiohttp  # a plug-in's library, inside the plug-in

    try:
        async with asyncio.timeout(TIMEOUT_S):
            addresses = await _addresses(target)
            async with (
                await _session(target, addresses) as session,
                session.post(
                    target.url, data=body, headers=headers, allow_redirects=False
                ) as answer,
            ):
                _judge(answer.status, answer.headers.get("Retry-After"))
    except TimeoutError as error:
        raise NotAcceptedError(f"no answer within {TIMEOUT_S:.0f} seconds") from error
    except aiohttp.InvalidURL as error:
        raise ChannelSettingsError("the URL cannot be understood") from error
    except aiohttp.ClientSSLError as error:
        raise NotAcceptedError("the receiver's TLS certificate is not trusted") from error
    except (aiohttp.ClientError, OSError) as error:
        raise NotAcceptedError("the connection to the receiver failed") from error


async def _addresses(target: Target) -> Addresses:
    try:
        parts = urlsplit(target.url)
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise ChannelSettingsError("the URL cannot be understood") from error
    if not host:
        raise ChannelSettingsError("the URL names no host")
    return await resolve(
        host, port, allow_private=target.allow_private, allow_loopback=target.allow_loopback
    )


async def _session(target: Target, addresses: Addresses) -> aiohttp.ClientSession:
    import aiohttp  # as above

    from services.notifier.channels.pinned import Pinned

    encrypted = target.url.startswith("https:")
    connector = aiohttp.TCPConnector(
        resolver=Pinned(addresses),
        use_dns_cache=False,
        force_close=True,
        ssl=await asyncio.to_thread(trust, target.ca_certificate) if encrypted else True,
    )
    return aiohttp.ClientSession(
        connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
    )


@lru_cache(maxsize=64)
def trust(ca_certificate: str) -> ssl.SSLContext:
    """Kept, because to read the system's authorities takes tens of milliseconds."""
    try:
        return ssl.create_default_context(cadata=ca_certificate or None)
    except (ssl.SSLError, ValueError) as error:
        raise ChannelSettingsError("the CA certificate cannot be read") from error


def _judge(status: int, retry_after: str | None) -> None:
    """Return when the receiver accepted; otherwise raise what its status means."""
    if 200 <= status < 300:
        return
    if status == 410:
        raise ReceiverGoneError("the receiver answered 410: it wants no more notes")
    raise NotAcceptedError(
        f"the receiver answered {status}", retry_after_s=_seconds(retry_after, datetime.now(UTC))
    )


def _seconds(retry_after: str | None, now: datetime) -> float | None:
    """`Retry-After` as seconds from now: a number, or an HTTP date; None for anything else."""
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - now).total_seconds())
