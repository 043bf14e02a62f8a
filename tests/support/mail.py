"""A real mail server in this loop: TLS, authentication, and what it was sent."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Literal

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "holdfast", "canary-mail-71c4"


class MailServer:
    """Takes mail of a user who signs in; `replies` answers the next RCPTs, then all is taken."""

    def __init__(self) -> None:
        self.port = 0
        self.certificate = ""
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.replies: list[str] = []
        self.requests = 0
        self.hang: asyncio.Event | None = None

    @property
    def texts(self) -> list[str]:
        return [plain(one).replace("\r\n", "\n").rstrip("\n") for one in self.mails]

    @property
    def ids(self) -> list[str]:
        return [str(one["Message-ID"]).strip("<>").partition("@")[0] for one in self.mails]

    def refuse_for_now(self) -> None:
        self.replies.append("451 the receiver's own words")

    def be_gone(self) -> None:
        self.replies.append("521 the receiver's own words")

    async def handle_RCPT(  # noqa: N802 - aiosmtpd finds it by this name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.requests += 1
        if self.hang is not None:
            await self.hang.wait()
        if self.replies:
            return self.replies.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - as above
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        self.recipients.append([str(one) for one in envelope.rcpt_tos])
        return "250 OK"


def plain(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def rich(mail: EmailMessage) -> str:
    part = mail.get_body(("html",))
    assert part is not None
    return str(part.get_content())


def _sign_in(
    _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
) -> AuthResult:
    right = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
    # handled=False: else a wrong password hangs the client.
    return AuthResult(success=right, handled=False)


@asynccontextmanager
async def mail_server(
    certificate: str,
    context: ssl.SSLContext,
    *,
    security: Literal["starttls", "tls", "none"] = "starttls",
) -> AsyncIterator[MailServer]:
    """On a free port of 127.0.0.1; mail is only taken over TLS, from USER with PASSWORD."""
    made = MailServer()
    made.certificate = certificate
    encrypted = security != "none"

    def factory() -> SMTP:
        return SMTP(
            made,
            hostname="mail.test",
            tls_context=context if security == "starttls" else None,
            require_starttls=security == "starttls",
            authenticator=_sign_in if encrypted else None,
            auth_required=encrypted,
            auth_require_tls=security == "starttls",
        )

    server = await asyncio.get_running_loop().create_server(
        factory, "127.0.0.1", 0, ssl=context if security == "tls" else None
    )
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        if made.hang is not None:
            made.hang.set()
        server.close()
