"""SECRET_KEY, split into one key per purpose."""

from __future__ import annotations

import hmac
from datetime import datetime
from functools import lru_cache
from hashlib import sha256

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from shared.keys.secret_keys import secret_keys


class SecretKey:
    """Derives keys, so that no two purposes ever share one.

    After a rotation the newest signs. What was hashed before must still be found, such as the claim
    of an e-mail address, which is in the log for ever: so the oldest hashes.
    """

    def __init__(self, text: str) -> None:
        self._keys = secret_keys(text)

    def __repr__(self) -> str:
        return "SecretKey(***)"

    def of(self, purpose: str) -> bytes:
        """32 bytes to sign with, the same on every replica."""
        return _derived(self._keys[0].text, purpose)

    def retired(self, purpose: str) -> list[tuple[bytes, datetime]]:
        """What `of` gave before each rotation, and when it was the last time."""
        return [(_derived(k.text, purpose), k.retired_at) for k in self._keys if k.retired_at]

    def digest(self, purpose: str, value: bytes) -> bytes:
        """A keyed hash of `value`, for ever the same: without SECRET_KEY no guess can be tested."""
        return hmac.digest(_derived(self._keys[-1].text, purpose), value, sha256)


@lru_cache(maxsize=64)
def _derived(text: str, purpose: str) -> bytes:
    info = f"holdfast/{purpose}@v1".encode()
    return HKDF(SHA256(), 32, salt=None, info=info).derive(text.encode())
