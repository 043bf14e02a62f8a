"""Seals secret and personal values into tokens, and opens them: one key per secret or person."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from uuid_utils.compat import uuid7

from shared.errors import PlatformError
from shared.keys.sealed import Sealed
from shared.settings import ConfigurationError

MOST_REMEMBERED = 1000
_PREFIXES = ("secret-", "person-")


class KeyBucket(Protocol):
    """What the vault needs of the KV bucket `keys`."""

    async def read(self, key: str) -> bytes | None:
        """The value, or None where nothing stands."""

    async def create(self, key: str, value: bytes) -> bool:
        """Write only where nothing stands; whether it was written."""

    async def replace(self, key: str, value: bytes, *, old: bytes) -> bool:
        """Write only over `old`, never over nothing; whether it was written."""

    async def erase(self, key: str) -> None:
        """Make sure nothing stands there."""

    async def names(self, prefix: str) -> list[str]:
        """The keys that begin with `prefix`."""


class SealedValueError(PlatformError):
    """A sealed value cannot be opened: erased, wrong ENCRYPTION_KEY, or moved from elsewhere."""

    code = "secret.unreadable"
    default_fix = "enter the secret again; if many fail, check ENCRYPTION_KEY"


class _Plain(msgspec.Struct, frozen=True):
    """What a token holds: the value, and where it belongs, so that no token can be moved."""

    subject: str
    field: str
    value: str

    def __repr__(self) -> str:
        return f"_Plain(subject={self.subject!r}, field={self.field!r}, value=***)"


_plain = msgspec.json.Decoder(_Plain)


def encryption_keys(text: str) -> list[str]:
    """The Fernet keys in `ENCRYPTION_KEY`: comma-separated, newest first."""
    return [key.strip() for key in text.split(",") if key.strip()]


def key_faults(text: str) -> list[str]:
    """What is wrong with `ENCRYPTION_KEY`, if anything is."""
    keys = encryption_keys(text)
    try:
        for key in keys:
            Fernet(key)
    except ValueError:
        keys = []
    return [] if keys else ["ENCRYPTION_KEY is not a list of Fernet keys, divided by commas"]


class Vault:
    """Opens what it sealed, as long as the key in the bucket lives.

    `keys`: Fernet keys, newest first. New keys are wrapped by the first; the others only open what
    an earlier rotation left. Raises ConfigurationError when one is not a Fernet key. For
    `remembered_s` a key is not asked for again: so long one that was erased elsewhere still opens.
    """

    def __init__(
        self, bucket: KeyBucket, keys: Sequence[str], *, remembered_s: float = 0.0
    ) -> None:
        self._bucket = bucket
        self._remembered_s = remembered_s
        self._remembered: dict[str, tuple[float, Fernet]] = {}
        try:
            wraps = [Fernet(key) for key in keys]
            self._newest, self._wrap = wraps[0], MultiFernet(wraps)
        except (ValueError, IndexError):
            raise ConfigurationError("ENCRYPTION_KEY is not a list of Fernet keys") from None

    async def seal(
        self, subject: str, field: str, value: str, *, key_id: str | None = None
    ) -> Sealed:
        """Seal `value` for exactly this subject and field.

        `key_id` names an existing or new shared key (`person-<user id>`); the default is a key of
        its own, so that this one secret can be erased.
        """
        name = key_id or f"secret-{uuid7().hex}"
        if not name.startswith(_PREFIXES):
            raise ValueError("a sealing key is named secret-... or person-...")
        # Never under a remembered key, which may be erased by now.
        fernet = await self._unwrapped(name) or await self._new_fernet(name)
        plain = msgspec.json.encode(_Plain(subject, field, value))
        return Sealed(key=name, token=fernet.encrypt(plain).decode())

    async def open(self, sealed: Sealed, subject: str, field: str) -> str:
        """The value; raises SealedValueError."""
        fernet = await self._fernet(sealed.key) if sealed.key.startswith(_PREFIXES) else None
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
        self._remembered.pop(key_id, None)
        await self._bucket.erase(key_id)

    async def rewrap(self) -> int:
        """Wrap every key under the newest ENCRYPTION_KEY; returns how many were not yet.

        Events stay as they are. Raises SealedValueError, after all others are wrapped, when some
        key opens with none of the ENCRYPTION_KEYs; a key erased meanwhile stays erased.
        """
        wrapped = [
            await self._rewrap(name)
            for prefix in _PREFIXES
            for name in await self._bucket.names(prefix)
        ]
        if lost := wrapped.count(None):
            raise SealedValueError(f"{lost} sealing keys open with no ENCRYPTION_KEY")
        return wrapped.count(True)

    async def _rewrap(self, name: str) -> bool | None:
        old = await self._bucket.read(name)
        if old is None or self._is_newest(old):
            return False
        try:
            return await self._bucket.replace(name, self._wrap.rotate(old), old=old)
        except InvalidToken:
            return None

    def _is_newest(self, wrapped: bytes) -> bool:
        try:
            self._newest.decrypt(wrapped)
        except InvalidToken:
            return False
        return True

    async def _fernet(self, name: str) -> Fernet | None:
        known = self._remembered.get(name)
        if known is not None and time.monotonic() < known[0]:
            return known[1]
        fernet = await self._unwrapped(name)
        if fernet is not None and self._remembered_s:
            self._remember(name, fernet)
        return fernet

    def _remember(self, name: str, fernet: Fernet) -> None:
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        self._remembered[name] = time.monotonic() + self._remembered_s, fernet

    async def _unwrapped(self, name: str) -> Fernet | None:
        wrapped = await self._bucket.read(name)
        if wrapped is None:
            return None
        try:
            return Fernet(self._wrap.decrypt(wrapped))
        except InvalidToken:
            raise SealedValueError("no ENCRYPTION_KEY opens this installation's keys") from None

    async def _new_fernet(self, name: str) -> Fernet:
        """Make the key, unless somebody else makes it at the same moment: then take theirs."""
        key = Fernet.generate_key()
        if await self._bucket.create(name, self._wrap.encrypt(key)):
            return Fernet(key)
        fernet = await self._fernet(name)
        if fernet is None:
            raise SealedValueError(f"the key {name} was erased while it was used")
        return fernet
