"""Mail by SMTP: one message per note, a plain and an HTML part that say the same."""

from __future__ import annotations

import asyncio
import html
import re
import socket
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from services.notifier.channels.address import resolve
from services.notifier.channels.base import (
    ChannelError,
    NotAcceptedError,
    Note,
    ReceiverGoneError,
    RefusedError,
)
from services.notifier.channels.posting import AllowPrivate, CaCertificate, trust
from shared.addresses import Addresses

if TYPE_CHECKING:
    import aiosmtplib

TIMEOUT_S = 10.0
LONGEST_SUBJECT = 200
MOST_RECIPIENTS = 50
_ADDRESS = re.compile(r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}$")
_WANTS_NO_MAIL = {521, 556}  # RFC 7504
_WRONG_PASSWORD = {530, 534, 535, 538}


class Email(msgspec.Struct, tag="email", tag_field="kind", frozen=True, forbid_unknown_fields=True):
    """Mail to some people, through one mail server."""

    FOR_PEOPLE: ClassVar[bool] = True
    label: ClassVar[str] = "E-mail"

    host: Annotated[
        str,
        Meta(title="Mail server", min_length=1, max_length=255, pattern=r"^[A-Za-z0-9.:_-]+$"),
    ]
    sender: Annotated[
        str,
        Meta(title="From", description="The platform's own address", max_length=320),
    ]
    recipients: Annotated[
        str,
        Meta(
            title="To",
            description="Addresses, divided by commas; kept sealed, since they are people's",
            min_length=3,
            max_length=4000,
            extra_json_schema={"writeOnly": True},
        ),
    ]
    port: Annotated[int, Meta(title="Port", ge=1, le=65535)] = 587
    security: Annotated[
        Literal["starttls", "tls", "none"],
        Meta(
            title="Encryption",
            description="STARTTLS (mostly port 587), TLS from the start (465), or none at all",
        ),
    ] = "starttls"
    username: Annotated[str, Meta(title="User", max_length=320)] = ""
    password: Annotated[
        str, Meta(title="Password", max_length=1024, extra_json_schema={"writeOnly": True})
    ] = ""
    ca_certificate: CaCertificate = ""
    allow_private: AllowPrivate = False

    def __post_init__(self) -> None:
        if not _ADDRESS.fullmatch(self.sender):
            raise ValueError("`sender` is not an address")
        addresses = self._to()
        if not addresses or len(addresses) > MOST_RECIPIENTS:
            raise ValueError(f"`recipients` are 1 to {MOST_RECIPIENTS} addresses")
        if not all(map(_ADDRESS.fullmatch, addresses)):
            raise ValueError("`recipients` holds something that is not an address")
        if self.password and self.security == "none":
            raise ValueError("`password` needs an encrypted connection")

    def __repr__(self) -> str:
        return f"Email(host={self.host!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("host", self.host)]

    async def send(self, note: Note, *, allow_loopback: bool = False) -> None:
        import aiosmtplib  # a plug-in's library, inside the plug-in

        try:
            async with asyncio.timeout(TIMEOUT_S):
                addresses = await resolve(
                    self.host,
                    self.port,
                    allow_private=self.allow_private,
                    allow_loopback=allow_loopback,
                )
                client = await self._client(await _connected(addresses, self.port))
                try:
                    await client.connect()
                    await client.send_message(
                        written(note, self.sender), sender=self.sender, recipients=self._to()
                    )
                finally:
                    client.close()  # no QUIT: its answer could be lost after the mail was taken
        except TimeoutError as error:
            raise NotAcceptedError(f"no answer within {TIMEOUT_S:.0f} seconds") from error
        except ssl.SSLError as error:
            raise NotAcceptedError("the mail server's TLS certificate is not trusted") from error
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _judged(max(one.code for one in error.recipients)) from None
        except aiosmtplib.SMTPResponseException as error:
            raise _judged(error.code) from None  # its text is the server's: nobody may see it
        except (aiosmtplib.SMTPException, OSError) as error:
            if isinstance(error.__cause__, ssl.SSLError):
                raise NotAcceptedError("the mail server's TLS certificate is not trusted") from None
            raise NotAcceptedError("the mail server did not take the message") from None

    def _to(self) -> list[str]:
        return [one.strip() for one in self.recipients.split(",") if one.strip()]

    async def _client(self, sock: socket.socket) -> aiosmtplib.SMTP:
        import aiosmtplib  # as above

        context = None
        if self.security != "none":
            context = await asyncio.to_thread(trust, self.ca_certificate)
        return aiosmtplib.SMTP(
            hostname=self.host,
            sock=sock,
            local_hostname="holdfast.invalid",  # says nothing of the inner network
            username=self.username or None,
            password=self.password or None,
            timeout=TIMEOUT_S,
            use_tls=self.security == "tls",
            start_tls=self.security == "starttls",
            tls_context=context,
        )


async def _connected(addresses: Addresses, port: int) -> socket.socket:
    """A connection to the first of the checked addresses that takes it."""
    loop = asyncio.get_running_loop()
    for family, address in addresses:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, (address, port))
        except OSError:
            sock.close()
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise NotAcceptedError("the connection to the mail server failed")


def written(note: Note, sender: str) -> EmailMessage:
    """The note as a message. A repeat has the same Message-ID, so that a reader can tell it."""
    text = note.body or note.text
    mail = EmailMessage()
    mail["From"] = sender
    # Recipients stand in the envelope only: they need not know of each other.
    mail["To"] = "undisclosed-recipients:;"
    mail["Subject"] = one_line(note.subject or note.text)
    mail["Date"] = formatdate(usegmt=True)
    mail["Message-ID"] = f"<{note.id}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(text)
    mail.add_alternative(f"<!doctype html>\n<pre>{html.escape(text)}</pre>\n", subtype="html")
    return mail


def one_line(text: str) -> str:
    """Text as a header may hold it: one line, without control characters, not endless."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(line.split())[:LONGEST_SUBJECT]


def _judged(code: int) -> ChannelError:
    """What a reply code means."""
    if code in _WANTS_NO_MAIL:
        return ReceiverGoneError(f"the mail server answered {code}: it wants no mail")
    if code in _WRONG_PASSWORD:
        return NotAcceptedError(f"the mail server answered {code}: user or password are wrong")
    if 500 <= code < 600:
        return RefusedError(f"the mail server answered {code}")
    return NotAcceptedError(f"the mail server answered {code}")
