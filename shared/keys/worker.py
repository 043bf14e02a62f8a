"""What an order hides: sealed to the X25519 key of the pool that is to do it (HPKE, RFC 9180)."""

from __future__ import annotations

import base64
from typing import TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from shared.errors import PlatformError
from shared.messages.base import Order

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
Secrets = TypeVar("Secrets", bound=msgspec.Struct)


class SealedOrderError(PlatformError):
    """The sealed part of an order is not for this worker, or not of this order."""

    code = "order.unreadable"
    default_fix = "check that all executors of the pool share one worker key"


def public_half(private: bytes) -> str:
    """The public key (base64url) of a raw X25519 private key; announced as `worker.<pool>`."""
    public = X25519PrivateKey.from_private_bytes(private).public_key()
    return base64.urlsafe_b64encode(public.public_bytes_raw()).decode()


def seal_for_worker(secrets: msgspec.Struct, public: str, order: Order) -> str:
    """The token to put into `order.sealed`, bound to the order's id and subject.

    Raises SealedOrderError when `public` is no key.
    """
    try:
        key = X25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(public))
    except ValueError:
        raise SealedOrderError(f"the announced key of pool {order.pool} is no key") from None
    sealed = _SUITE.encrypt(msgspec.json.encode(secrets), key, info=_context(order))
    return base64.urlsafe_b64encode(sealed).decode()


def open_as_worker(order: Order, private: bytes, kind: type[Secrets]) -> Secrets:
    """The secrets of an order addressed to us; raises SealedOrderError."""
    try:
        key = X25519PrivateKey.from_private_bytes(private)
        plain = _SUITE.decrypt(base64.urlsafe_b64decode(order.sealed), key, info=_context(order))
        return msgspec.json.decode(plain, type=kind)
    except (InvalidTag, ValueError, msgspec.DecodeError):
        raise SealedOrderError("the order's secrets cannot be opened with this key") from None


def _context(order: Order) -> bytes:
    return f"holdfast/order@v1\0{order.id}\0{order.subject}".encode()
