"""Canonical JSON, base64 that has one spelling, and the strict reading of both."""

from __future__ import annotations

import base64
import binascii
from typing import Any, TypeVar

import msgspec

_T = TypeVar("_T")
_encoder = msgspec.json.Encoder(order="sorted")


def canonical(value: Any) -> bytes:
    """JSON in the one form that is hashed and signed: keys sorted, no spaces, UTF-8.

    Only strings, whole numbers, booleans, null, lists and objects occur, so RFC 8785 adds
    nothing more: its rules for fractions never apply.
    """
    return _encoder.encode(value)


def read_canonical(data: bytes) -> dict[str, Any]:
    """Decode an object, refusing any byte the writer would have written otherwise.

    Raises `ValueError`; without this a changed space or escape would go unseen. Unknown fields
    stay in, so that what a newer release added can still be hashed as it was signed.
    """
    try:
        value = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ValueError("not JSON") from error
    if canonical(value) != data:
        raise ValueError("not canonical JSON")
    return value


def shaped(value: Any, kind: type[_T]) -> _T:
    """The fields a reader knows, as a struct; `ValueError` where one is missing or wrong."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def to_text(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """The bytes of `to_text`; `ValueError` for any other spelling of the same bytes."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64url") from error
    if to_text(data) != text:
        raise ValueError("not base64url")
    return data


def from_hex(text: str) -> bytes:
    """Lower-case hex without spaces; `ValueError` for any other spelling of the same bytes."""
    data = bytes.fromhex(text)
    if data.hex() != text:
        raise ValueError("not lower-case hex")
    return data
