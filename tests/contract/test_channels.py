"""One suite over every channel, against a real receiver; then what is the webhook's own."""

from __future__ import annotations

import asyncio
import base64
import html
import json
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.utils import format_datetime
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.launcher.ports import free_port
from services.notifier.channels import AnyChannel, Channel, Email, Slack, Webhook, open_channel
from services.notifier.channels.base import (
    AddressRefusedError,
    ChannelError,
    ChannelSettingsError,
    NotAcceptedError,
    Note,
    ReceiverGoneError,
    RefusedError,
)
from services.notifier.channels.email import written
from shared.keys.plugins import secret_fields
from shared.plugins import schemas_of
from tests.support.certificates import certified
from tests.support.mail import PASSWORD, USER, MailServer, mail_server, rich
from tests.unit.notifier.receiver import SECRET, Receiver, SlackReceiver, receiving

MEMBERS = getattr(AnyChannel, "__args__", (AnyChannel,))
SECRETS: dict[type, list[str]] = {
    Slack: ["url"],
    Email: ["recipients", "password"],
    Webhook: ["url", "secret", "former_secret"],
}
SENDER, RECIPIENT = "holdfast@backup.example", "canary-ada@shop.example"


class Place(Protocol):
    """A receiver of any kind: what it heard, and how it answers next."""

    requests: int
    hang: asyncio.Event | None

    @property
    def texts(self) -> list[str]: ...
    @property
    def ids(self) -> list[str]: ...
    def refuse_for_now(self) -> None: ...
    def be_gone(self) -> None: ...


def make_note(text: str = "Backup failed. [backup 1]", **words: str) -> Note:
    event = {"type": "backup.failed", "data": {"attempt": 1}}
    return Note(id=uuid4(), text=text, event=event, **words)


def slack(url: str, **fields: object) -> Channel:
    return open_channel(msgspec.json.encode({"kind": "slack", "url": url, **fields}))


def email(server: MailServer, **fields: object) -> Channel:
    config: dict[str, object] = {
        "kind": "email",
        "host": "127.0.0.1",
        "port": server.port,
        "sender": SENDER,
        "recipients": RECIPIENT,
        "username": USER,
        "password": PASSWORD,
        "ca_certificate": server.certificate,
    }
    return open_channel(msgspec.json.encode({**config, **fields}))


def webhook(url: str, **fields: object) -> Channel:
    return open_channel(
        msgspec.json.encode({"kind": "webhook", "url": url, "secret": SECRET, **fields})
    )


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture
async def slack_receiver() -> AsyncIterator[Receiver]:
    async with receiving(kind=SlackReceiver) as one:
        yield one


@pytest.fixture
async def mail(tmp_path: Path) -> AsyncIterator[MailServer]:
    async with mail_server(*certified(tmp_path)) as one:
        yield one


@pytest.fixture(params=MEMBERS, ids=lambda kind: kind.__struct_config__.tag)
def reached(
    request: pytest.FixtureRequest,
    receiver: Receiver,
    slack_receiver: Receiver,
    mail: MailServer,
) -> tuple[Channel, Place]:
    """A channel of each kind, and what it reaches; a new kind adds its line here."""
    made: dict[type, tuple[Channel, Place]] = {
        Slack: (slack(slack_receiver.url), slack_receiver),
        Email: (email(mail), mail),
        Webhook: (webhook(receiver.url), receiver),
    }
    return made[request.param]


@pytest.fixture
def channel(reached: tuple[Channel, Place]) -> Channel:
    return reached[0]


@pytest.fixture
def place(reached: tuple[Channel, Place]) -> Place:
    return reached[1]


# Every channel


async def test_the_receiver_hears_the_note(channel: Channel, place: Place) -> None:
    note = make_note("Backup failed: \u00fcn\u00efcode <b>&amp;</b> \U0001f525. [backup 1]")

    await channel.send(note, allow_loopback=True)

    assert place.texts == [note.text]
    assert place.ids == [str(note.id)]


async def test_the_words_of_a_template_go_before_the_sentence(
    channel: Channel, place: Place
) -> None:
    await channel.send(make_note(subject="Shop", body="line 1\nline 2"), allow_loopback=True)

    assert place.texts == ["line 1\nline 2"]


async def test_a_repeat_carries_the_same_id(channel: Channel, place: Place) -> None:
    note = make_note()

    for _ in range(2):
        await channel.send(note, allow_loopback=True)

    assert place.ids == [str(note.id)] * 2


async def test_a_refusal_may_be_tried_again(channel: Channel, place: Place) -> None:
    place.refuse_for_now()

    with pytest.raises(NotAcceptedError) as refused:
        await channel.send(make_note(), allow_loopback=True)

    assert "own words" not in f"{refused.value} {refused.value.__cause__}"
    assert place.requests == 1


async def test_a_receiver_that_is_gone_is_not_tried_again(channel: Channel, place: Place) -> None:
    place.be_gone()

    with pytest.raises(ReceiverGoneError):
        await channel.send(make_note(), allow_loopback=True)


async def test_a_hanging_receiver_costs_ten_seconds_at_most(channel: Channel, place: Place) -> None:
    place.hang = asyncio.Event()

    with pytest.raises(NotAcceptedError):
        async with asyncio.timeout(20):  # what is more is a slow machine
            await channel.send(make_note(), allow_loopback=True)


async def test_the_own_machine_is_refused_where_it_is_not_the_only_one(
    channel: Channel, place: Place
) -> None:
    """Abuse case 5: a channel is no way into the inner network."""
    with pytest.raises(AddressRefusedError):
        await channel.send(make_note())

    assert place.requests == 0


async def test_a_closed_port_a_silent_one_and_a_refusal_tell_the_same_code(
    channel: Channel, place: Place
) -> None:
    """Abuse case 6: who may configure a channel learns nothing of ports behind the guard.

    A guarded address is refused before any connection, open or closed alike.
    """
    port = free_port()
    fields = {"url": f"http://127.0.0.1:{port}/"} if hasattr(channel, "url") else {"port": port}
    closed = msgspec.structs.replace(channel, **fields)  # type: ignore[type-var]  # every channel is a struct

    said = []
    for one in (channel, closed):
        with pytest.raises(AddressRefusedError) as refused:
            await one.send(make_note())
        said.append(str(refused.value))

    assert said[0] == said[1]
    assert place.requests == 0


async def test_nothing_shows_a_secret(channel: Channel, place: Place) -> None:
    place.refuse_for_now()

    with pytest.raises(ChannelError) as refused:
        await channel.send(make_note(), allow_loopback=True)

    shown = f"{channel!r} {refused.value} {refused.value!r}"
    for secret in (SECRET, PASSWORD, RECIPIENT, "/notes"):
        assert secret not in shown


@pytest.mark.parametrize("kind", MEMBERS)
def test_the_schema_marks_the_secret_fields(kind: type) -> None:
    schema = schemas_of(AnyChannel)[kind.__struct_config__.tag]  # type: ignore[attr-defined]  # of every msgspec struct

    assert sorted(secret_fields(schema)) == sorted(SECRETS[kind])


# What is posted: the webhook and Slack


@pytest.mark.parametrize("status", [301, 400, 404, 429, 500, 503])
async def test_an_answer_that_is_no_2xx_is_no_acceptance(receiver: Receiver, status: int) -> None:
    receiver.answers = [(status, {"Location": receiver.url})]

    with pytest.raises(NotAcceptedError):
        await webhook(receiver.url).send(make_note(), allow_loopback=True)

    assert receiver.requests == 1


PAYLOADS = [
    "<script>alert(1)</script>",
    "<!channel> <@U123> <https://evil.example|your bank>",
    "\x1b[31mred\x1b[0m\r\nBcc: evil@example.com",
    '"onmouseover="alert(1)',
]


@pytest.mark.parametrize("payload", PAYLOADS)
async def test_slack_shows_a_payload_as_text(slack_receiver: Receiver, payload: str) -> None:
    """Abuse case 25: what a name says is no link, no mention, no markup."""
    await slack(slack_receiver.url).send(make_note(payload), allow_loopback=True)

    (said,) = slack_receiver.heard
    assert slack_receiver.texts == [payload]
    assert "<" not in json.dumps(said)
    assert all(block.get("verbatim") is not False for block in said["blocks"])


async def test_slack_is_never_sent_more_than_it_takes(slack_receiver: Receiver) -> None:
    await slack(slack_receiver.url).send(make_note("&" * 9000), allow_loopback=True)

    text = slack_receiver.heard[0]["blocks"][0]["text"]["text"]
    assert len(text) <= 3000
    assert "&" not in text.replace("&amp;", "")


# Mail


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_mail_goes_over_verified_tls_with_a_password(tmp_path: Path, security: str) -> None:
    pem, context = certified(tmp_path)
    async with mail_server(pem, context, security=security) as mail:  # type: ignore[arg-type]  # one of them
        await email(mail, security=security).send(make_note(), allow_loopback=True)
        untrusted = email(mail, security=security, ca_certificate="")
        with pytest.raises(NotAcceptedError, match="not trusted"):
            await untrusted.send(make_note(), allow_loopback=True)

    assert len(mail.mails) == 1
    assert mail.recipients == [[RECIPIENT]]


async def test_a_certificate_for_another_name_is_refused_for_mail_too(tmp_path: Path) -> None:
    async with mail_server(*certified(tmp_path, "127.0.0.2")) as mail:
        with pytest.raises(NotAcceptedError, match="not trusted"):
            await email(mail).send(make_note(), allow_loopback=True)

    assert mail.requests == 0


async def test_starttls_that_is_not_offered_is_not_done_without(tmp_path: Path) -> None:
    async with mail_server(*certified(tmp_path), security="none") as mail:
        with pytest.raises(NotAcceptedError):
            await email(mail).send(make_note(), allow_loopback=True)

        await email(mail, security="none", username="", password="").send(
            make_note(), allow_loopback=True
        )

    assert len(mail.mails) == 1


async def test_a_wrong_password_is_told_and_not_shown(mail: MailServer) -> None:
    with pytest.raises(NotAcceptedError, match="user or password are wrong") as refused:
        await email(mail, password="canary-wrong").send(make_note(), allow_loopback=True)

    assert "canary-wrong" not in f"{refused.value!r} {refused.value.__cause__!r}"


async def test_a_refused_address_is_not_tried_again(mail: MailServer) -> None:
    mail.replies = ["550 no such user"]

    with pytest.raises(RefusedError):
        await email(mail).send(make_note(), allow_loopback=True)


@pytest.mark.parametrize("payload", PAYLOADS)
async def test_no_text_becomes_a_header_or_markup(mail: MailServer, payload: str) -> None:
    """Abuse cases 25 and 26: names of databases reach subjects and HTML parts."""
    await email(mail).send(make_note(payload, subject=payload), allow_loopback=True)

    (one,) = mail.mails
    assert one["Bcc"] is None
    assert one["Cc"] is None
    assert mail.recipients == [[RECIPIENT]]
    assert str(one["Subject"]).isprintable()
    assert html.escape(payload.partition("\r")[0]) in rich(one)
    assert "<script" not in rich(one)


@given(st.text(max_size=300), st.text(max_size=300))
def test_whatever_a_note_says_it_stays_one_message(subject: str, body: str) -> None:
    """Abuse case 26, for any text."""
    try:
        sent = written(make_note("x", subject=subject, body=body), SENDER).as_bytes()
    except UnicodeEncodeError:
        return  # half a surrogate pair is no text: the bus carries none

    read = message_from_bytes(sent, policy=policy.default)
    names = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"]
    assert [*read.keys()] == [*names, "MIME-Version", "Content-Type"]


@pytest.mark.parametrize(
    "fields",
    [
        {"sender": "a@b.example\r\nBcc: c@d.example"},
        {"recipients": "a@b.example\nBcc: c@d.example"},
        {"recipients": "Ada <a@b.example>"},
        {"recipients": ","},
        {"recipients": ",".join(f"a{number}@b.example" for number in range(51))},
        {"host": "mail.example\r\nQUIT"},
        {"security": "none"},
        {"security": "off"},
    ],
)
def test_a_wrong_mail_configuration_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ChannelSettingsError):
        email(MailServer(), port=25, **fields)


# The webhook


@pytest.mark.parametrize(
    "config",
    [
        {"url": "ftp://example.com/x", "secret": SECRET},
        {"url": "https://user@example.com/", "secret": SECRET},
        {"url": "https://example.com/", "secret": "whsec_short"},
        {"url": "https://example.com/", "secret": "whsec_" + "a" * 33},
        {"url": "https://example.com/", "secret": SECRET, "unknown": 1},
        {"url": "https://example.com/"},
    ],
)
def test_a_wrong_configuration_is_refused_without_its_secret(config: dict[str, object]) -> None:
    with pytest.raises(ChannelSettingsError) as refused:
        open_channel(msgspec.json.encode({"kind": "webhook", **config}))

    assert str(config.get("secret", SECRET)) not in str(refused.value)


async def test_while_a_secret_is_exchanged_both_signatures_are_sent(receiver: Receiver) -> None:
    new = "whsec_" + base64.b64encode(b"the next secret of this receiver").decode()

    changing = webhook(receiver.url, secret=new, former_secret=SECRET)
    await changing.send(make_note(), allow_loopback=True)  # the receiver knows SECRET only

    assert len(receiver.heard) == 1


async def test_a_receiver_that_knows_neither_secret_takes_nothing(receiver: Receiver) -> None:
    new = "whsec_" + base64.b64encode(b"the next secret of this receiver").decode()

    with pytest.raises(NotAcceptedError):
        await webhook(receiver.url, secret=new).send(make_note(), allow_loopback=True)

    assert receiver.heard == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "[::1]"])
async def test_other_spellings_of_the_own_machine_are_refused_too(host: str) -> None:
    with pytest.raises(AddressRefusedError):
        await webhook(f"http://{host}:9/x").send(make_note())


async def test_a_name_is_resolved_once_and_the_checked_address_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Abuse case 5: a rebinding name server, harmless at first, the inner network ever after."""
    port = int(receiver.url.split(":")[2].split("/")[0])
    asked: list[str] = []

    def rebinding(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "10.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    await webhook(f"http://rebinding.test:{port}/x").send(make_note(), allow_loopback=True)

    assert asked == ["rebinding.test"]
    assert len(receiver.heard) == 1


async def test_one_inner_address_among_several_refuses_the_name(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))
        for address in ("127.0.0.1", "10.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: both)

    with pytest.raises(AddressRefusedError):
        await webhook("http://two.test/x").send(make_note(), allow_loopback=True)


async def test_allowing_private_addresses_does_not_open_the_own_machine(
    receiver: Receiver,
) -> None:
    with pytest.raises(AddressRefusedError):
        await webhook(receiver.url, allow_private=True).send(make_note())

    assert not receiver.heard


@pytest.mark.parametrize("as_date", [False, True])
async def test_the_receiver_may_ask_for_patience(receiver: Receiver, as_date: bool) -> None:
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=121), usegmt=True)
    receiver.answers = [(503, {"Retry-After": at if as_date else "120"})]

    with pytest.raises(NotAcceptedError) as refused:
        await webhook(receiver.url).send(make_note(), allow_loopback=True)

    assert refused.value.retry_after_s == pytest.approx(120, abs=2)


async def test_an_endless_answer_is_not_read() -> None:
    async def drown(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            while True:
                writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
                await writer.drain()
        except ConnectionError:
            closed.set()
        finally:
            writer.close()

    closed = asyncio.Event()
    server = await asyncio.start_server(drown, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    await webhook(f"http://127.0.0.1:{port}/").send(make_note(), allow_loopback=True)

    async with asyncio.timeout(2):
        await closed.wait()
    server.close()


async def test_tls_is_verified_against_the_given_authority(tmp_path: Path) -> None:
    pem, context = certified(tmp_path)
    async with receiving(context) as receiver:
        await webhook(receiver.url, ca_certificate=pem).send(make_note(), allow_loopback=True)
        with pytest.raises(NotAcceptedError, match="not trusted"):
            await webhook(receiver.url).send(make_note(), allow_loopback=True)

    assert receiver.requests == 1


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    pem, context = certified(tmp_path, "127.0.0.2")
    async with receiving(context) as receiver:
        with pytest.raises(NotAcceptedError, match="not trusted"):
            await webhook(receiver.url, ca_certificate=pem).send(make_note(), allow_loopback=True)

    assert receiver.requests == 0
