"""Reads key files into keys; no error tells what stood in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from shared.archive.keys import (
    Recipient,
    RecipientKey,
    SigningKey,
    WorkerCertificate,
    WorkerIdentity,
)
from shared.errors import InvalidInputError, PlatformError
from shared.messages.values import AuditHandover

_Key = TypeVar("_Key")


class KeyFileError(PlatformError):
    """A key file is missing, unreadable, open to others, or not a key."""

    code = "keys.file"
    default_fix = "restore the key folder from your copy or from the recovery sheet"


def read_recipient_key(path: Path) -> RecipientKey:
    """The key in a `recovery_key` file; raises KeyFileError."""
    return _parsed(path, RecipientKey.parse)


def read_key_encryption_keys(path: Path) -> tuple[RecipientKey, ...]:
    """The keys in a `kek` file, newest first: new archives are sealed to the first of them, and
    the others still open those sealed before. Raises KeyFileError."""
    return _parsed(path, lambda text: tuple(map(RecipientKey.parse, text.split(","))))


def adopted_beside(kek: Path) -> tuple[RecipientKey, ...]:
    """The keys of other installations that lie beside a `kek` file; raises KeyFileError."""
    path = kek.with_name("adopted_keys")
    return read_key_encryption_keys(path) if path.exists() else ()


def handovers_beside(audit_key: Path) -> Path:
    """The file of the hand-overs that led to the key in an `audit_key` file; seldom there."""
    return audit_key.with_name("audit_handovers")


def read_handovers(audit_key: Path) -> list[AuditHandover]:
    """The hand-overs that led to the key in an `audit_key` file; raises KeyFileError.

    They prove themselves: see `Succession`.
    """
    path = handovers_beside(audit_key)
    if not path.exists():
        return []
    try:
        return msgspec.json.decode(read_bytes(path), type=list[AuditHandover])
    except msgspec.DecodeError as error:
        raise KeyFileError(f"the file {path.name} does not hold hand-overs") from error


def read_recipient(path: Path) -> Recipient:
    """The public key in a `recovery_recipient` file; raises KeyFileError."""
    return _parsed(path, Recipient.parse)


def read_signing_key(path: Path) -> SigningKey:
    """The key in an `audit_key` or `signing_key` file; raises KeyFileError."""
    return _parsed(path, SigningKey.parse)


def read_order_key(path: Path) -> bytes:
    """The 32 raw bytes of an `order_key` file; raises KeyFileError."""
    key = read_bytes(path)
    if len(key) != 32:
        raise KeyFileError(f"{path.name} is not a key of 32 bytes")
    return key


def read_identity(signing_key: Path, certificate: Path) -> WorkerIdentity:
    """What a worker signs manifests with; raises KeyFileError, also when the two do not fit."""
    key = read_signing_key(signing_key)
    try:
        found = msgspec.json.decode(read_bytes(certificate), type=WorkerCertificate)
    except msgspec.DecodeError:
        raise KeyFileError(f"{certificate.name} is not a certificate") from None
    if found.public_key != key.public.hex():
        raise KeyFileError("the worker's certificate is for another signing key")
    return WorkerIdentity(key=key, certificate=found)


def read_bytes(path: Path) -> bytes:
    """The whole file; raises KeyFileError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"the key file {path.name} cannot be read: {error.strerror}") from error


def _parsed(path: Path, parse: Callable[[str], _Key]) -> _Key:
    try:
        return parse(read_bytes(path).decode())
    except (InvalidInputError, UnicodeDecodeError):
        raise KeyFileError(f"{path.name} is damaged, or not a key") from None
