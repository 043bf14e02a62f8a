"""Seals secret and personal values into tokens, and opens them: one key per secret or person."""

from __future__ import annotations

from typing import Protocol

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from uuid_utils.compat import uuid7

from shared.errors import PlatformError
from shared.keys.sealed import Sealed


class KeyBucket(Protocol):
    """What the vault needs of the KV bucket `keys`."""

    async def read(self, key: str) -> bytes | None: ...
    async def write(self, key: str, value: bytes) -> None: ...
    async def erase(self, key: str) -> None: ...
    async def names(self, prefix: str) -> list[str]: ...


class SealedValueError(PlatformError):
    """A sealed value cannot be opened: erased, wrong ENCRYPTION_KEY, or moved from elsewhere."""

    code = "secret.unreadable"
    default_fix = "enter the secret again; if many fail, check ENCRYPTION_KEY"


class _Plain(msgspec.Struct, frozen=True):
    """What a token holds: the value, and where it belongs, so that no token can be moved."""

    subject: str
    field: str
    value: str


_plain = msgspec.json.Decoder(_Plain)


class Vault:
    """Opens what it sealed, as long as the key in the bucket lives.

    `encryption_keys`: Fernet keys, newest first (`ENCRYPTION_KEY`, comma-separated).
    """

    def __init__(self, bucket: KeyBucket, encryption_keys: list[str]) -> None:
        self._bucket = bucket
        self._wrap = MultiFernet([Fernet(key) for key in encryption_keys])

    async def seal(
        self, subject: str, field: str, value: str, *, key_id: str | None = None
    ) -> Sealed:
        """Seal `value` for exactly this subject and field.

        `key_id` names an existing or new shared key (`person-<user id>`); the default is a key of
        its own, so that this one secret can be erased.
        """
        name = key_id or f"secret-{uuid7().hex}"
        fernet = await self._fernet(name) or await self._new_fernet(name)
        plain = msgspec.json.encode(_Plain(subject, field, value))
        return Sealed(key=name, token=fernet.encrypt(plain).decode())

    async def open(self, sealed: Sealed, subject: str, field: str) -> str:
        """The value; raises SealedValueError."""
        fernet = await self._fernet(sealed.key)
        if fernet is None:
            raise SealedValueError(f"the key of {field} was erased")
        try:
            plain = _plain.decode(fernet.decrypt(sealed.token.encode()))
        except (InvalidToken, msgspec.DecodeError):
            raise SealedValueError(f"the token of {field} is damaged") from None
        if (plain.subject, plain.field) != (subject, field):
            raise SealedValueError(f"the token of {field} was sealed for something else")
        return plain.value

    async def erase(self, key_id: str) -> None:
        """Forget the key: everything sealed under it is unreadable for ever."""
        await self._bucket.erase(key_id)

    async def rewrap(self) -> int:
        """Wrap every key under the newest ENCRYPTION_KEY; events stay as they are."""
        count = 0
        for prefix in ("secret-", "person-"):
            for name in await self._bucket.names(prefix):
                wrapped = await self._bucket.read(name)
                if wrapped is not None:
                    await self._bucket.write(name, self._wrap.rotate(wrapped))
                    count += 1
        return count

    async def _fernet(self, name: str) -> Fernet | None:
        wrapped = await self._bucket.read(name)
        if wrapped is None:
            return None
        try:
            return Fernet(self._wrap.decrypt(wrapped))
        except InvalidToken:
            raise SealedValueError("no ENCRYPTION_KEY opens this installation's keys") from None

    async def _new_fernet(self, name: str) -> Fernet:
        key = Fernet.generate_key()
        await self._bucket.write(name, self._wrap.encrypt(key))
        return Fernet(key)
