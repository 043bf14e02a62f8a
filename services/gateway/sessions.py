"""Sessions: in KV, so that every replica knows them; refresh tokens rotate on each use."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256

import msgspec

from services.gateway.errors import SessionEndedError
from shared.bus import Kv

IDLE = timedelta(days=7)
LONGEST = timedelta(days=30)


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One sign-in. `refresh_hash` is the SHA-256 of the only refresh token that still works."""

    user_id: str
    refresh_hash: str
    opened_at: datetime
    used_at: datetime


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A session with the refresh token to hand out, once."""

    session_id: str
    user_id: str
    refresh_token: str

    def __repr__(self) -> str:
        return f"Opened(session_id={self.session_id!r})"


class Sessions:
    """Opens, renews and ends sessions."""

    def __init__(self, bucket: Kv, clock: Callable[[], datetime]) -> None:
        self._bucket = bucket
        self._clock = clock

    async def open(self, user_id: str) -> Opened:
        session_id = secrets.token_hex(16)
        at = self._clock()
        opened, refresh_hash = _renewed(session_id, user_id)
        session = Session(user_id=user_id, refresh_hash=refresh_hash, opened_at=at, used_at=at)
        await self._bucket.put(session_id, msgspec.json.encode(session))
        return opened

    async def renew(self, refresh_token: str) -> Opened:
        """Exchange the refresh token for the next one.

        A token that was used before ends the whole session: it was stolen, or is being replayed.
        Raises SessionEndedError.
        """
        session_id = refresh_token.partition(".")[0]
        found = await self._living(session_id)
        if found is None:
            raise SessionEndedError("the session is over")
        session, revision = found
        if not hmac.compare_digest(session.refresh_hash, _hash(refresh_token)):
            await self._bucket.delete(session_id)
            raise SessionEndedError("a refresh token was used twice, so the session was ended")
        opened, refresh_hash = _renewed(session_id, session.user_id)
        renewed = msgspec.structs.replace(session, refresh_hash=refresh_hash, used_at=self._clock())
        if not await self._bucket.update(
            session_id, msgspec.json.encode(renewed), revision=revision
        ):
            raise SessionEndedError("another request renewed the session at the same moment")
        return opened

    async def user_of(self, session_id: str) -> str | None:
        """The account of a living session, or None."""
        found = await self._living(session_id)
        return found[0].user_id if found else None

    async def end(self, session_id: str) -> None:
        """Make sure the session is over."""
        await self._bucket.delete(session_id)

    async def _living(self, session_id: str) -> tuple[Session, int] | None:
        if not _is_session_id(session_id):
            return None
        entry = await self._bucket.get(session_id)
        if entry is None or entry.value is None:
            return None
        session = msgspec.json.decode(entry.value, type=Session)
        at = self._clock()
        alive = at < session.opened_at + LONGEST and at < session.used_at + IDLE
        return (session, entry.revision) if alive else None


def _is_session_id(text: str) -> bool:
    return len(text) == 32 and all(letter in "0123456789abcdef" for letter in text)


def _hash(refresh_token: str) -> str:
    return sha256(refresh_token.encode()).hexdigest()


def _renewed(session_id: str, user_id: str) -> tuple[Opened, str]:
    token = f"{session_id}.{secrets.token_urlsafe(32)}"
    return Opened(session_id=session_id, user_id=user_id, refresh_token=token), _hash(token)
