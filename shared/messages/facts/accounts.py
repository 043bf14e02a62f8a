"""Facts about accounts and the keys that seal them."""

from __future__ import annotations

from typing import ClassVar

from shared.keys.sealed import Sealed
from shared.messages.base import Fact, Key


class UserFact(Fact, frozen=True, kw_only=True):
    """About one account."""

    KEYED_BY: ClassVar[str] = "user_id"
    user_id: Key


class UserSignedIn(UserFact, frozen=True, kw_only=True):
    """Somebody proved to be the account; `address` is sealed with the person's key."""

    address: Sealed | None = None


class UserSignInRefused(UserFact, frozen=True, kw_only=True):
    """A sign-in for an existing account failed."""

    address: Sealed | None = None


class UserSignedOut(UserFact, frozen=True, kw_only=True):
    """The session ended by the account's wish."""


class UserPasswordChanged(UserFact, frozen=True, kw_only=True):
    """The account has another password; `reset` when somebody else chose it."""

    reset: bool = False


class UserSessionsEnded(UserFact, frozen=True, kw_only=True):
    """Somebody ended sessions of the account; none named: all of them."""

    session_ids: list[str] = []


class KeyFact(Fact, frozen=True, kw_only=True):
    """About one sealing key."""

    KEYED_BY: ClassVar[str] = "key_id"
    key_id: Key


class KeyRotated(KeyFact, frozen=True, kw_only=True):
    """A key outside the log has a successor; `key_id` says which: `secrets`, `jwt`, `nats`,
    `master` (the key-encryption key, which opens archives)."""


class KeyRewrapped(KeyFact, frozen=True, kw_only=True):
    """Every archive in every store is sealed to the key `newest`; none needs those before it.

    `key_id` is `master`.
    """

    newest: str


class KeyAdopted(KeyFact, frozen=True, kw_only=True):
    """A key of another installation opens archives here, too, until it is forgotten.

    `key_id` is the id that envelopes call it by.
    """


class KeyExportRequested(KeyFact, frozen=True, kw_only=True):
    """Somebody takes a private key of the installation away; `key_id` says which: `recovery`.

    It is handed out once an audit checkpoint has passed this. `address`: where from.
    """

    address: Sealed | None = None


class KeyRetired(KeyFact, frozen=True, kw_only=True):
    """The key opens nothing any more, and is removed from this installation.

    `key_id` is the id that envelopes call it by.
    """


class KeyErased(KeyFact, frozen=True, kw_only=True):
    """The key is gone for ever, and with it everything that was sealed under it."""

    reason: str
