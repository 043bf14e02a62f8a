"""Messages as bytes: CloudEvents 1.0, NATS binding, binary mode."""

from __future__ import annotations

from typing import TypeAlias
from urllib.parse import quote

import msgspec

from shared.errors import PlatformError
from shared.messages.base import AnyKind, Message
from shared.messages.facts import AnyFact
from shared.messages.orders import AnyOrder
from shared.messages.output import AnyOutput
from shared.messages.settings import AnySetting

AnyEvent: TypeAlias = AnyFact | AnySetting
AnyMessage: TypeAlias = AnyEvent | AnyOrder | AnyOutput

_encoder = msgspec.json.Encoder(order="deterministic")
_decoder: msgspec.json.Decoder[AnyMessage] = msgspec.json.Decoder(AnyMessage)


class PoisonError(PlatformError):
    """Bytes that are no message this version knows."""

    code = "message.poison"
    default_fix = "upgrade the service that refused it, then replay the dead letter"


def encode(message: Message) -> bytes:
    """The body: JSON, the same bytes each time for the same message."""
    return _encoder.encode(message)


def decode(data: bytes) -> AnyMessage:
    """The message in `data`; raises PoisonError. Unknown fields are ignored (additive change)."""
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PoisonError(f"undecodable message: {error}") from error


def headers(message: AnyKind, source: str) -> dict[str, str]:
    """The CloudEvents attributes and the message id; `source` names the saying service."""
    return {
        "Nats-Msg-Id": str(message.id),
        "ce-specversion": "1.0",
        "ce-id": str(message.id),
        "ce-type": message.type,
        "ce-source": quote(f"/holdfast/{source}", safe="/:"),
        "ce-time": message.at.isoformat().replace("+00:00", "Z"),
        "ce-subject": message.subject.rsplit(".", 1)[-1],
        "ce-datacontenttype": "application/json",
    }
