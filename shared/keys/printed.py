"""Keys in a form that a person can type: groups of four with a checksum."""

from __future__ import annotations

import hashlib

from shared.errors import InvalidInputError

SECRET_BYTES = 32


def printed(tag: str, secret: bytes) -> str:
    """`HFENC1-0123-4567-...`: upper-case hex of the bytes and of 4 bytes of checksum."""
    digits = (secret + _check(tag, secret)).hex().upper()
    return "-".join([tag, *(digits[at : at + 4] for at in range(0, len(digits), 4))])


def typed(tag: str, text: str, length: int = SECRET_BYTES) -> bytes:
    """The bytes of `printed`, however spaced or wrapped; raises InvalidInputError for a typo."""
    found, _, digits = "".join(text.split()).upper().partition("-")
    try:
        data = bytes.fromhex(digits.replace("-", ""))
    except ValueError:
        data = b""
    secret, check = data[:length], data[length:]
    if found != tag or len(secret) != length or check != _check(tag, secret):
        raise InvalidInputError(
            f"this is not a key that begins with {tag}", fix="compare it with the printed sheet"
        )
    return secret


def _check(tag: str, secret: bytes) -> bytes:
    return hashlib.sha256(tag.encode() + secret).digest()[:4]
