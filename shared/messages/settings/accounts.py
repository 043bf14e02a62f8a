"""The settings of accounts."""

from __future__ import annotations

from shared.keys.sealed import Sealed
from shared.messages.base import Setting
from shared.messages.values import Grant, Role


class UserSetting(Setting, frozen=True, kw_only=True):
    """An account. Its name, address and password hash are sealed under one key per person."""

    name: Sealed
    email: Sealed
    password_hash: Sealed
    role: Role
    disabled: bool = False
    grants: list[Grant] = []
