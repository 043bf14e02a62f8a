"""Writing accounts: what is personal sealed, addresses claimed, an administrator always left."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row, select

from services.gateway import claims
from services.gateway.accounts import NewAccount, person_key
from services.gateway.appending import Landed, land
from services.gateway.callers import Caller
from services.gateway.configured import Change
from services.gateway.dependencies import Dependencies
from services.gateway.errors import LastAdminError, NameTakenError, PreconditionFailedError
from services.gateway.grants import is_whole
from shared.bus import Draft, Expect, WrongSequenceError
from shared.keys.sealed import Sealed
from shared.messages.base import consequence
from shared.messages.facts import KeyErased, UserPasswordChanged
from shared.messages.settings import ClaimSetting, SettingRemoved, UserSetting
from shared.messages.values import Grant, Role
from shared.readmodel.tables import api_keys, users

ADMINISTRATORS = claims.claim_key("user", "administrators")
"""Whoever makes somebody less than an administrator of everything writes this claim: so of two who
do it at the same moment, one sees what the other has done."""


def administers(role: Role, grants: list[Grant], *, disabled: bool) -> bool:
    """Whether an account may administer everything, other accounts too."""
    held = grants or [Grant(role=role)]
    whole = any(it.role is Role.ADMIN and is_whole(it) and not it.without for it in held)
    return whole and not disabled


def setting_of(row: Row[Any]) -> UserSetting:
    """The setting that a row was made of; `id` and `actor` are new."""
    return UserSetting(
        key=row.id,
        name=Sealed(**row.name),
        email=Sealed(**row.email),
        password_hash=Sealed(**row.password_hash),
        role=Role(row.role),
        disabled=row.disabled,
        grants=msgspec.convert(row.grants, list[Grant]),
    )


async def create(deps: Dependencies, change: Change, account: NewAccount) -> Landed:
    """Write a new account with the claim of its address; raises NameTakenError."""
    email = deps.accounts.email_claim(account.email)
    held, _ = await claims.holder(deps, email)
    if held == change.key:
        return await _standing(deps, change.key)
    sealed = await deps.accounts.sealed(change.key, account)
    setting = msgspec.structs.replace(sealed, **change.said_by())
    claim = await claims.taking(deps, email, setting)
    try:
        return await land(deps, claim, Draft(setting, Expect(0)))
    except WrongSequenceError as error:
        held, _ = await claims.holder(deps, email)
        if held == change.key:
            return await _standing(deps, change.key)
        raise NameTakenError("another account has this address already") from error


async def _standing(deps: Dependencies, key: str) -> Landed:
    last = await deps.bus.last_of(f"cfg.user.{key}")
    return Landed(seq=last[-1].seq if last else 0, already=True, visible=True)


async def replace(
    deps: Dependencies, row: Row[Any], setting: UserSetting, *, email: tuple[str, str] = ("", "")
) -> Landed:
    """Write the new state over the version in `row`; `email` is the address before and after."""
    drafts = [Draft(setting, Expect(row.version))]
    before, after = (deps.accounts.email_claim(each) for each in email)
    if before != after:
        drafts.append(await claims.taking(deps, after, setting))
        drafts.append(await claims.freeing(deps, before, setting))
    now = administers(setting.role, setting.grants, disabled=setting.disabled)
    less = [await _one_less(deps, setting)] if _administered(row) and not now else []
    landed = await _landed(deps, [*drafts, *less])
    # A batch is stored in one piece: the setting is what stands before the rest of it.
    return msgspec.structs.replace(landed, seq=landed.seq - len(less) - len(drafts) + 1)


async def change_password(
    deps: Dependencies, row: Row[Any], caller: Caller, password: str
) -> Landed:
    """Give the account another password; who else is meant than the caller is told in the log."""
    hashed = await deps.passwords.hash(password)
    subject, key = f"cfg.user.{row.id}", person_key(row.id)
    sealed = await deps.vault.seal(subject, "password_hash", hashed, key_id=key)
    said: dict[str, Any] = {"actor": caller.actor, "request_id": caller.request_id}
    setting = msgspec.structs.replace(setting_of(row), password_hash=sealed, **said)
    fact = UserPasswordChanged(
        id=consequence(setting.id, "password"),
        caused_by=setting.id,
        user_id=row.id,
        reset=caller.user_id != row.id,
        **said,
    )
    return await _landed(deps, [Draft(fact), Draft(setting, Expect(row.version))])


async def remove(deps: Dependencies, row: Row[Any], caller: Caller, email: str) -> Landed:
    """Delete the account, its API keys and the key that everything personal is sealed with."""
    removed = SettingRemoved(
        key=row.id, of="user", actor=caller.actor, request_id=caller.request_id
    )
    said: dict[str, Any] = {
        "actor": caller.actor,
        "request_id": caller.request_id,
        "caused_by": removed.id,
    }
    erased = KeyErased(
        id=consequence(removed.id, "person"),
        key_id=person_key(row.id),
        reason="the account was deleted",
        **said,
    )
    drafts = [Draft(erased), await claims.freeing(deps, deps.accounts.email_claim(email), removed)]
    owned = select(api_keys.c.id).where(api_keys.c.user_id == row.id)
    for key in await deps.read_model.rows(owned):
        gone = SettingRemoved(id=consequence(removed.id, key.id), key=key.id, of="api_key", **said)
        drafts.append(Draft(gone))
    drafts.append(Draft(removed, Expect(row.version)))
    if _administered(row):
        drafts.append(await _one_less(deps, removed))
    landed = await _landed(deps, drafts)
    await deps.vault.erase(person_key(row.id))
    return landed


async def _landed(deps: Dependencies, drafts: list[Draft]) -> Landed:
    try:
        return await land(deps, *drafts)
    except WrongSequenceError as error:
        raise PreconditionFailedError("somebody changed accounts at this moment") from error


def _administered(row: Row[Any]) -> bool:
    grants = msgspec.convert(row.grants, list[Grant])
    return administers(Role(row.role), grants, disabled=row.disabled)


async def _one_less(deps: Dependencies, cause: UserSetting | SettingRemoved) -> Draft:
    """The draft that makes one administrator less; raises LastAdminError when none is left.

    It stands at the end of its batch: whoever waits until it is projected sees the whole batch.
    """
    _, seq = await claims.holder(deps, ADMINISTRATORS)
    await deps.read_model.at_least(seq)
    others = select(users).where(
        users.c.id != cause.key, users.c.role == Role.ADMIN.value, users.c.disabled.is_(False)
    )
    if not any(_administered(row) for row in await deps.read_model.rows(others)):
        raise LastAdminError("this is the last administrator of everything")
    claim = ClaimSetting(
        id=consequence(cause.id, "administrators"),
        key=ADMINISTRATORS,
        noun="user",
        holder=cause.key,
        actor=cause.actor,
        caused_by=cause.id,
        request_id=cause.request_id,
    )
    return Draft(claim, Expect(seq))
