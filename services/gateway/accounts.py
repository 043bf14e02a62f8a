"""Accounts: found by address or id; name and address are sealed in the log."""

from __future__ import annotations

import msgspec
from sqlalchemy import Row, select

from services.gateway.secret_key import SecretKey
from shared.keys.sealed import Sealed
from shared.keys.vault import Vault
from shared.messages.settings import UserSetting
from shared.messages.values import Grant, Role
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import claims, users


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account as its owner and administrators may see it."""

    id: str
    name: str
    email: str
    role: Role
    grants: list[Grant] = []
    disabled: bool


class NewAccount(msgspec.Struct, frozen=True, kw_only=True):
    """What an account is made of; `password_hash` is never the password."""

    name: str
    email: str
    password_hash: str
    role: Role
    grants: list[Grant] = []

    def __repr__(self) -> str:
        return f"NewAccount(role={self.role!r})"


def person_key(user_id: str) -> str:
    """The sealing key of one person: erasing it erases the person from the log."""
    return f"person-{user_id}"


class Accounts:
    """Reads accounts; opens what is sealed in them only where it is needed."""

    def __init__(self, read_model: ReadModel, vault: Vault, secret: SecretKey) -> None:
        self._read_model, self._vault, self._secret = read_model, vault, secret

    def email_claim(self, email: str) -> str:
        """The claim that holds an address: a keyed hash, since addresses are sealed."""
        return self._secret.digest("email-claim", email.strip().lower().encode()).hex()

    async def by_email(self, email: str) -> Row[tuple[object, ...]] | None:
        """The row of the account with this address, or None."""
        claim = select(claims.c.holder).where(claims.c.id == self.email_claim(email))
        return await self._read_model.one(select(users).where(users.c.id.in_(claim)))

    async def by_id(self, user_id: str) -> Account | None:
        """The account with name and address opened, or None."""
        row = await self._read_model.one(select(users).where(users.c.id == user_id))
        if row is None:
            return None
        return Account(
            id=row.id,
            name=await self.opened(row.id, "name", row.name),
            email=await self.opened(row.id, "email", row.email),
            role=Role(row.role),
            grants=msgspec.convert(row.grants, list[Grant]),
            disabled=row.disabled,
        )

    async def opened(self, user_id: str, field: str, token: dict[str, str]) -> str:
        """The value of a sealed field of an account."""
        return await self._vault.open(Sealed(**token), f"cfg.user.{user_id}", field)

    async def sealed(self, user_id: str, account: NewAccount) -> UserSetting:
        """The setting of a new account, everything personal sealed under the person's key."""

        async def seal(field: str, value: str) -> Sealed:
            return await self._vault.seal(
                f"cfg.user.{user_id}", field, value, key_id=person_key(user_id)
            )

        return UserSetting(
            key=user_id,
            name=await seal("name", account.name),
            email=await seal("email", account.email),
            password_hash=await seal("password_hash", account.password_hash),
            role=account.role,
            grants=account.grants,
        )
