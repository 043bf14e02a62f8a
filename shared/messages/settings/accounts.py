"""The settings of accounts."""

from __future__ import annotations

from datetime import datetime

from shared.keys.sealed import Sealed
from shared.messages.base import Key, Setting
from shared.messages.values import Grant, Role


class UserSetting(Setting, frozen=True, kw_only=True):
    """An account. Its name, address and password hash are sealed under one key per person."""

    name: Sealed
    email: Sealed
    password_hash: Sealed
    role: Role
    disabled: bool = False
    grants: list[Grant] = []


class ApiKeySetting(Setting, frozen=True, kw_only=True):
    """A key for programs, acting for `user_id`: never with more than that account has now.

    `secret_sha256` is the hash of 256 random bits. `rights` names all it may do; `grants` (none: no
    further limit) and `addresses` (networks; none: any) limit where.
    """

    name: str
    user_id: Key
    secret_sha256: str
    rights: list[str]
    grants: list[Grant] = []
    addresses: list[str] = []
    expires_at: datetime | None = None
