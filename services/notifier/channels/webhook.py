"""A webhook: one signed POST per note, as the Standard Webhooks specification says."""

from __future__ import annotations

import asyncio
import base64
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from services.notifier.channels.address import Addresses, resolve
from services.notifier.channels.base import (
    ChannelSettingsError,
    NotAcceptedError,
    Note,
    ReceiverGoneError,
)

if TYPE_CHECKING:
    import aiohttp

_TIMEOUT_S = 5.0


class Webhook(
    msgspec.Struct, tag="webhook", tag_field="kind", frozen=True, forbid_unknown_fields=True
):
    """An HTTP receiver that knows the secret and checks the signature of each request."""

    url: Annotated[
        str,
        Meta(
            title="URL",
            description="Where notes are posted, kept secret; redirects are not followed",
            max_length=2048,
            pattern=r"^https?://[^\s@]+$",
            extra_json_schema={"writeOnly": True},
        ),
    ]
    secret: Annotated[
        str,
        Meta(
            title="Signing secret",
            description="`whsec_` and the base64 of 24 to 64 random bytes; the receiver has it too",
            pattern=r"^whsec_[A-Za-z0-9+/]{32,86}={0,2}$",
            extra_json_schema={"writeOnly": True},
        ),
    ]
    ca_certificate: Annotated[
        str,
        Meta(title="CA certificate", description="PEM, if the receiver's is not a public one"),
    ] = ""
    allow_private: Annotated[
        bool,
        Meta(
            title="Private address",
            description="The receiver is in a private network; else its address is refused",
        ),
    ] = False

    def __post_init__(self) -> None:
        try:
            base64.b64decode(self.secret.removeprefix("whsec_"), validate=True)
        except ValueError:
            raise ValueError("`secret` is not valid base64") from None

    def __repr__(self) -> str:
        return "Webhook(***)"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return []  # the URL of a webhook is often a secret too

    async def send(self, note: Note, *, allow_loopback: bool = False) -> None:
        import aiohttp  # a plug-in's library, inside the plug-in

        try:
            async with asyncio.timeout(_TIMEOUT_S):
                addresses = await self._addresses(allow_loopback=allow_loopback)
                async with await self._session(addresses) as session:
                    await self._post(session, note)
        except TimeoutError as error:
            raise NotAcceptedError(f"no answer within {_TIMEOUT_S:.0f} seconds") from error
        except aiohttp.InvalidURL as error:
            raise ChannelSettingsError("the URL cannot be understood") from error
        except aiohttp.ClientSSLError as error:
            raise NotAcceptedError("the receiver's TLS certificate is not trusted") from error
        except (aiohttp.ClientError, OSError) as error:
            raise NotAcceptedError("the connection to the receiver failed") from error

    async def _addresses(self, *, allow_loopback: bool) -> Addresses:
        try:
            parts = urlsplit(self.url)
            host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError as error:
            raise ChannelSettingsError("the URL cannot be understood") from error
        if not host:
            raise ChannelSettingsError("the URL names no host")
        return await resolve(
            host, port, allow_private=self.allow_private, allow_loopback=allow_loopback
        )

    async def _session(self, addresses: Addresses) -> aiohttp.ClientSession:
        import aiohttp  # as above

        from services.notifier.channels.pinned import Pinned

        encrypted = self.url.startswith("https:")
        connector = aiohttp.TCPConnector(
            resolver=Pinned(addresses),
            use_dns_cache=False,
            force_close=True,
            ssl=await asyncio.to_thread(_trust, self.ca_certificate) if encrypted else True,
        )
        return aiohttp.ClientSession(
            connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
        )

    async def _post(self, session: aiohttp.ClientSession, note: Note) -> None:
        body = msgspec.json.encode({**note.event, "text": note.text})
        async with session.post(
            self.url, data=body, headers=self._headers(note, body), allow_redirects=False
        ) as answer:
            # The body is not read: it may be endless, and nobody may see it anyway.
            _judge(answer.status, answer.headers.get("Retry-After"))

    def _headers(self, note: Note, body: bytes) -> dict[str, str]:
        from standardwebhooks.webhooks import Webhook as Signer

        at = datetime.now(UTC)
        return {
            "content-type": "application/json",
            "user-agent": "holdfast",
            "webhook-id": str(note.id),
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Signer(self.secret).sign(str(note.id), at, body.decode()),
        }


@lru_cache(maxsize=64)
def _trust(ca_certificate: str) -> ssl.SSLContext:
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
