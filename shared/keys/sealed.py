"""A secret or personal value as it may stand in the log: a token, never the value."""

from __future__ import annotations

from typing import Any, TypeGuard

import msgspec


class Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Fernet token under the key `key`; the plaintext names the subject and field it is for."""

    key: str
    token: str

    def __repr__(self) -> str:
        return f"Sealed(key={self.key!r})"


def is_sealed(value: Any) -> TypeGuard[dict[str, str]]:
    """Whether a value inside a plug-in's settings is a sealed token."""
    return isinstance(value, dict) and value.keys() == {"key", "token"}
