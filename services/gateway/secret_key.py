"""SECRET_KEY, split into one key per purpose."""

from __future__ import annotations

import hmac
from hashlib import sha256

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


class SecretKey:
    """Derives keys, so that no two purposes ever share one."""

    def __init__(self, text: str) -> None:
        self._text = text.encode()

    def __repr__(self) -> str:
        return "SecretKey(***)"

    def of(self, purpose: str) -> bytes:
        """32 bytes for one purpose, the same on every replica."""
        return HKDF(SHA256(), 32, salt=None, info=f"holdfast/{purpose}@v1".encode()).derive(
            self._text
        )

    def digest(self, purpose: str, value: bytes) -> bytes:
        """A keyed hash of `value`: nobody without SECRET_KEY can test a guess."""
        return hmac.digest(self.of(purpose), value, sha256)
