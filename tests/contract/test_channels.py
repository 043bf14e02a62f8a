"""One suite over every channel, against a real receiver; then what is the webhook's own."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_address
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.notifier.channels import AnyChannel, Channel, Webhook, open_channel
from services.notifier.channels.base import (
    AddressRefusedError,
    ChannelError,
    ChannelSettingsError,
    NotAcceptedError,
    Note,
    ReceiverGoneError,
)
from shared.keys.plugins import secret_fields
from shared.plugins import schemas_of
from tests.unit.notifier.receiver import SECRET, Receiver, receiving

MEMBERS = getattr(AnyChannel, "__args__", (AnyChannel,))


def make_note(text: str = "Backup failed. [backup 1]") -> Note:
    return Note(id=uuid4(), text=text, event={"type": "backup.failed", "data": {"attempt": 1}})


def make_channel(kind: type, receiver: Receiver) -> Channel:
    """A channel of the kind that reaches the receiver; a new kind adds its line here."""
    config = {Webhook: {"kind": "webhook", "url": receiver.url, "secret": SECRET}}[kind]
    return open_channel(msgspec.json.encode(config))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@pytest.fixture(params=MEMBERS, ids=lambda kind: kind.__struct_config__.tag)
def channel(request: pytest.FixtureRequest, receiver: Receiver) -> Channel:
    return make_channel(request.param, receiver)


# Every channel


async def test_the_receiver_hears_the_note(channel: Channel, receiver: Receiver) -> None:
    note = make_note("Backup failed: ünïcode. [backup 1]")

    await channel.send(note, allow_loopback=True)

    assert receiver.heard == [{**note.event, "text": note.text}]


async def test_a_repeat_carries_the_same_id(channel: Channel, receiver: Receiver) -> None:
    note = make_note()

    for _ in range(2):
        await channel.send(note, allow_loopback=True)

    assert receiver.ids == [str(note.id)] * 2


@pytest.mark.parametrize("status", [301, 400, 404, 429, 500, 503])
async def test_a_refusal_may_be_tried_again(
    channel: Channel, receiver: Receiver, status: int
) -> None:
    receiver.answers = [(status, {"Location": receiver.url})]

    with pytest.raises(NotAcceptedError) as refused:
        await channel.send(make_note(), allow_loopback=True)

    assert "own words" not in str(refused.value)
    assert receiver.requests == 1


async def test_a_receiver_that_is_gone_is_not_tried_again(
    channel: Channel, receiver: Receiver
) -> None:
    receiver.answers = [(410, {})]

    with pytest.raises(ReceiverGoneError):
        await channel.send(make_note(), allow_loopback=True)


async def test_a_hanging_receiver_costs_five_seconds_at_most(
    channel: Channel, receiver: Receiver
) -> None:
    receiver.hang = asyncio.Event()

    with pytest.raises(NotAcceptedError):
        async with asyncio.timeout(6):
            await channel.send(make_note(), allow_loopback=True)


async def test_the_own_machine_is_refused_where_it_is_not_the_only_one(
    channel: Channel, receiver: Receiver
) -> None:
    with pytest.raises(AddressRefusedError):
        await channel.send(make_note())

    assert receiver.requests == 0


async def test_nothing_shows_a_secret(channel: Channel, receiver: Receiver) -> None:
    receiver.answers = [(500, {})]

    with pytest.raises(ChannelError) as refused:
        await channel.send(make_note(), allow_loopback=True)

    assert SECRET not in f"{channel!r} {refused.value} {refused.value!r}"


@pytest.mark.parametrize("kind", MEMBERS)
def test_the_schema_marks_the_secret_fields(kind: type) -> None:
    schema = schemas_of(AnyChannel)[kind.__struct_config__.tag]  # type: ignore[attr-defined]  # of every msgspec struct

    assert secret_fields(schema) == {Webhook: ["url", "secret"]}[kind]


# The webhook


def webhook(url: str, **fields: object) -> Channel:
    return open_channel(
        msgspec.json.encode({"kind": "webhook", "url": url, "secret": SECRET, **fields})
    )


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


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "[::1]"])
async def test_other_spellings_of_the_own_machine_are_refused_too(host: str) -> None:
    with pytest.raises(AddressRefusedError):
        await webhook(f"http://{host}:9/x").send(make_note())


async def test_a_name_is_resolved_once_and_the_checked_address_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rebinding name server: harmless at first, the inner network ever after."""
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


@contextmanager
def certified(folder: Path, name: str) -> Iterator[tuple[str, ssl.SSLContext]]:
    """A self-signed certificate for `name`: its PEM, and a server's context that shows it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test receiver")])
    at = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(at - timedelta(days=1))
        .not_valid_after(at + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(name))]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file = folder / "server.pem"
    file.write_bytes(pem + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    yield pem.decode(), context


async def test_tls_is_verified_against_the_given_authority(tmp_path: Path) -> None:
    with certified(tmp_path, "127.0.0.1") as (pem, context):
        async with receiving(context) as receiver:
            await webhook(receiver.url, ca_certificate=pem).send(make_note(), allow_loopback=True)
            with pytest.raises(NotAcceptedError, match="not trusted"):
                await webhook(receiver.url).send(make_note(), allow_loopback=True)

    assert receiver.requests == 1


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    with certified(tmp_path, "127.0.0.2") as (pem, context):
        async with receiving(context) as receiver:
            with pytest.raises(NotAcceptedError, match="not trusted"):
                await webhook(receiver.url, ca_certificate=pem).send(
                    make_note(), allow_loopback=True
                )

    assert receiver.requests == 0
