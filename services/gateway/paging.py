"""Cursor paging: an opaque, signed cursor, so that nobody builds one by hand."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Any, Generic, TypeVar

import msgspec

from services.gateway.errors import InputFault, InvalidFieldsError
from services.gateway.secret_key import SecretKey

DEFAULT_LIMIT, HIGHEST_LIMIT = 50, 500
Item = TypeVar("Item")


class Page(msgspec.Struct, Generic[Item], frozen=True, kw_only=True):
    """Some items of a list. `next_cursor` leads to what follows, None at the end."""

    items: list[Item]
    next_cursor: str | None = None


def cursor_of(secret: SecretKey, *position: Any) -> str:
    """The cursor behind `position` (sort value, id)."""
    body = msgspec.json.encode(position)
    return base64.urlsafe_b64encode(_signature(secret, body) + body).decode()


Position = TypeVar("Position")


def position_of(secret: SecretKey, cursor: str, kind: type[Position]) -> Position:
    """What a cursor stands for; raises InvalidFieldsError for anything not made here."""
    try:
        raw = base64.urlsafe_b64decode(cursor)
        signature, body = raw[:16], raw[16:]
        if hmac.compare_digest(signature, _signature(secret, body)):
            return msgspec.json.decode(body, type=kind)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        pass
    raise foreign_cursor()


def foreign_cursor() -> InvalidFieldsError:
    """The error for a cursor that was not made here, or for another list."""
    fault = InputFault("query:cursor", "not a cursor of this list")
    return InvalidFieldsError(
        "the cursor is not valid", [fault], fix="begin again without a cursor"
    )


def _signature(secret: SecretKey, body: bytes) -> bytes:
    return secret.digest("cursor", body)[:16]
