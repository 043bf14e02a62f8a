"""Whom a token speaks for at this moment, and what they hold."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Row, Select, func, select

from services.gateway.api_keys import ApiKey, limit_of
from services.gateway.callers import Caller, Grants
from services.gateway.sessions import Sessions
from services.gateway.tokens import Bearer
from shared.errors import UnauthenticatedError
from shared.messages.values import Grant, Role
from shared.readmodel.reader import ReadModel
from shared.readmodel.tables import api_keys, audit_checkpoints, users

REMEMBERED_S = 2.0
"""How long a decision about a token is kept: also the longest that a revoked one still works."""

MOST_REMEMBERED = 10_000


class Proved(msgspec.Struct, frozen=True):
    """An API key whose secret was shown before."""

    key_id: str


Credential: TypeAlias = Bearer | ApiKey | Proved

_AUDITED = select(func.coalesce(func.max(audit_checkpoints.c.size), 0)).scalar_subquery()
_HELD = (
    users.c.role,
    users.c.disabled,
    users.c.grants,
    users.c.rights_before,
    (users.c.rights_seq > _AUDITED).label("unaudited"),
)


class Identities:
    """Decides who a caller is, and remembers it for a moment."""

    def __init__(
        self, read_model: ReadModel, sessions: Sessions, clock: Callable[[], datetime]
    ) -> None:
        self._read_model, self._sessions, self._clock = read_model, sessions, clock
        self._remembered: dict[Credential, tuple[float, Caller]] = {}
        self._looking: dict[Credential, asyncio.Task[Caller]] = {}

    async def caller(self, credential: Credential) -> Caller:
        """Who this is now; raises UnauthenticatedError once signed out, revoked or disabled."""
        at = asyncio.get_running_loop().time()
        if (known := self._remembered.get(credential)) is not None and at < known[0]:
            return known[1]
        # A page sends many requests at once: one of them looks.
        if (looking := self._looking.get(credential)) is None:
            looking = self._looking[credential] = asyncio.create_task(self._look(credential, at))
            looking.add_done_callback(lambda _: self._looked(credential, looking))
        return await asyncio.shield(looking)

    async def _look(self, credential: Credential, at: float) -> Caller:
        caller = await self._look_up(credential)
        if len(self._remembered) >= MOST_REMEMBERED:
            self._remembered.clear()
        if self._looking.get(credential) is asyncio.current_task():  # else: forgotten meanwhile
            self._remembered[credential] = (at + REMEMBERED_S, caller)
        return caller

    def _looked(self, credential: Credential, task: asyncio.Task[Caller]) -> None:
        if self._looking.get(credential) is task:
            del self._looking[credential]
        if not task.cancelled():
            task.exception()  # raised to who waits; nobody may wait any longer

    async def again(self, caller: Caller) -> Caller:
        """Who `caller` is now, looked up anew; raises UnauthenticatedError like `caller`."""
        self.forget(caller.user_id)
        return await self.lately(caller)

    async def lately(self, caller: Caller) -> Caller:
        """Who `caller` was a moment ago, looked up where nobody did; raises like `caller`."""
        if caller.key_id:
            now = await self.caller(Proved(caller.key_id))
        else:
            now = await self.caller(Bearer(caller.user_id, caller.session_id))
        return msgspec.structs.replace(now, request_id=caller.request_id)

    def forget(self, user_id: str) -> None:
        """Decide anew about everything that speaks for an account, also what is being decided."""
        self._looking.clear()
        for known in [key for key, (_, it) in self._remembered.items() if it.user_id == user_id]:
            del self._remembered[known]

    async def _look_up(self, credential: Credential) -> Caller:
        if isinstance(credential, ApiKey):
            return await self._of_key(credential.key_id, credential.secret_sha256)
        if isinstance(credential, Proved):
            return await self._of_key(credential.key_id)
        return await self._of_session(credential)

    async def _of_session(self, bearer: Bearer) -> Caller:
        if not await self._sessions.lives(bearer.user_id, bearer.session_id):
            raise UnauthenticatedError("the session is over")
        row = await self._account(select(*_HELD).where(users.c.id == bearer.user_id))
        return Caller(
            user_id=bearer.user_id,
            role=Role(row.role),
            session_id=bearer.session_id,
            grants=_grants(row.grants),
            within=_unaudited(row),
        )

    async def _of_key(self, key_id: str, secret_sha256: str | None = None) -> Caller:
        """Without a hash the key was proved before."""
        columns = (
            *(api_keys.c.user_id, api_keys.c.secret_sha256, api_keys.c.rights),
            *(api_keys.c.grants.label("key_grants"), api_keys.c.addresses, api_keys.c.expires_at),
        )
        joined = select(*_HELD, *columns).join_from(
            api_keys, users, users.c.id == api_keys.c.user_id
        )
        row = await self._account(joined.where(api_keys.c.id == key_id))
        if secret_sha256 is not None and not hmac.compare_digest(row.secret_sha256, secret_sha256):
            raise UnauthenticatedError("the API key is not valid, or no longer")
        if row.expires_at is not None and self._clock() >= row.expires_at:
            raise UnauthenticatedError("the API key is not valid, or no longer")
        limit = limit_of(row.rights, msgspec.convert(row.key_grants, list[Grant]))
        return Caller(
            user_id=row.user_id,
            role=Role(row.role),
            session_id="",
            key_id=key_id,
            addresses=tuple(row.addresses),
            grants=_grants(row.grants),
            within=(limit, *_unaudited(row)),
        )

    async def _account(self, query: Select[Any]) -> Row[Any]:
        row = await self._read_model.one(query)
        if row is None or row.disabled:
            raise UnauthenticatedError("the account is disabled or deleted, or the key revoked")
        return row


def _grants(stored: Any) -> Grants:
    return tuple(msgspec.convert(stored, list[Grant]))


def _unaudited(row: Row[Any]) -> tuple[Grants, ...]:
    """What an account held before holds it back until the change stands in a signed checkpoint:
    more rights come once that is proved, fewer at once."""
    if not row.unaudited or row.rights_before is None:
        return ()
    before = row.rights_before
    return (_grants(before["grants"]) or (Grant(role=Role(before["role"])),),)
