"""Who makes a request, and what they hold."""

from __future__ import annotations

import msgspec

from shared.messages.values import Grant, Role

Grants = tuple[Grant, ...]


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who makes a request.

    `key_id` is the API key that was sent instead of a session's token, `addresses` where it may be
    used. `grants` are the account's own; none means `role` everywhere. `within` holds further
    lists of grants, of which each must allow what is done too.
    """

    user_id: str
    role: Role
    session_id: str
    request_id: str = ""
    key_id: str = ""
    addresses: tuple[str, ...] = ()
    grants: Grants = ()
    within: tuple[Grants, ...] = ()

    @property
    def actor(self) -> str:
        """The opaque id that the log names: an API key acts under its own."""
        return self.key_id or self.user_id

    @property
    def layers(self) -> tuple[Grants, ...]:
        """Lists of grants: what is done must be allowed by one grant of every list."""
        return (self.grants or (Grant(role=self.role),), *self.within)
