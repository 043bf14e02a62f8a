"""Sessions: in KV, so that every replica knows them; refresh tokens rotate on each use."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256

import msgspec

from services.gateway.errors import SessionEndedError
from shared.bus import Kv
from shared.keys.sealed import Sealed

_TOKEN = re.compile(r"^([A-Za-z0-9_-]{1,64})\.([0-9a-f]{32})\.[A-Za-z0-9_-]{43}$")
_SESSION_ID = re.compile(r"^[0-9a-f]{32}$")


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One sign-in. `refresh_hash` is the SHA-256 of the only refresh token that still works.

    `address` is where it began, sealed with the person's key.
    """

    user_id: str
    refresh_hash: str
    opened_at: datetime
    used_at: datetime
    address: Sealed | None = None


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A session with the refresh token to hand out, once."""

    session_id: str
    user_id: str
    refresh_token: str

    def __repr__(self) -> str:
        return f"Opened(session_id={self.session_id!r})"


class Limits(msgspec.Struct, frozen=True):
    """How long a session lives without being used, and at all."""

    idle: timedelta = timedelta(days=7)
    longest: timedelta = timedelta(days=30)


class Sessions:
    """Opens, renews and ends sessions. Those of one account share the beginning of their keys."""

    def __init__(self, bucket: Kv, clock: Callable[[], datetime], limits: Limits) -> None:
        self._bucket, self._clock, self._limits = bucket, clock, limits

    async def open(self, user_id: str, address: Sealed | None = None) -> Opened:
        """Begin a session with an id that nobody could know before."""
        session_id = secrets.token_hex(16)
        at = self._clock()
        opened, refresh_hash = _renewed(session_id, user_id)
        session = Session(
            user_id=user_id, refresh_hash=refresh_hash, opened_at=at, used_at=at, address=address
        )
        await self._bucket.put(_key(user_id, session_id), msgspec.json.encode(session))
        return opened

    async def renew(self, refresh_token: str) -> Opened:
        """Exchange the refresh token for the next one.

        A token that was used before ends the whole session: it was stolen, or is being replayed.
        Raises SessionEndedError.
        """
        user_id, session_id = named_by(refresh_token)
        found = await self._living(user_id, session_id)
        if found is None:
            raise SessionEndedError("the session is over")
        session, revision = found
        if not hmac.compare_digest(session.refresh_hash, _hash(refresh_token)):
            await self.end(user_id, session_id)
            raise SessionEndedError("a refresh token was used twice, so the session was ended")
        opened, refresh_hash = _renewed(session_id, session.user_id)
        renewed = msgspec.structs.replace(session, refresh_hash=refresh_hash, used_at=self._clock())
        if not await self._bucket.update(
            _key(user_id, session_id), msgspec.json.encode(renewed), revision=revision
        ):
            raise SessionEndedError("another request renewed the session at the same moment")
        return opened

    async def lives(self, user_id: str, session_id: str) -> bool:
        """Whether this is a session of the account that is not over."""
        return await self._living(user_id, session_id) is not None

    async def of(self, user_id: str) -> dict[str, Session]:
        """The living sessions of an account by their ids, the oldest first."""
        found: dict[str, Session] = {}
        for key in await self._bucket.keys(f"{user_id}."):
            session_id = key.partition(".")[2]
            if (living := await self._living(user_id, session_id)) is not None:
                found[session_id] = living[0]
        return dict(sorted(found.items(), key=lambda item: item[1].opened_at))

    async def end(self, user_id: str, session_id: str) -> None:
        """Make sure the session is over."""
        await self._bucket.delete(_key(user_id, session_id))

    async def end_all(self, user_id: str, *, but: str = "") -> list[str]:
        """End every session of the account except `but`; the ids of what was ended."""
        ended = [session_id for session_id in await self.of(user_id) if session_id != but]
        for session_id in ended:
            await self.end(user_id, session_id)
        return ended

    async def _living(self, user_id: str, session_id: str) -> tuple[Session, int] | None:
        if not user_id or not _SESSION_ID.match(session_id):
            return None
        entry = await self._bucket.get(_key(user_id, session_id))
        if entry is None or entry.value is None:
            return None
        session = msgspec.json.decode(entry.value, type=Session)
        return (session, entry.revision) if self._alive(session) else None

    def _alive(self, session: Session) -> bool:
        at = self._clock()
        return (
            at < session.opened_at + self._limits.longest
            and at < session.used_at + self._limits.idle
        )


def named_by(refresh_token: str) -> tuple[str, str]:
    """The account and session that a refresh token names; empty for what is none."""
    found = _TOKEN.match(refresh_token)
    return (found[1], found[2]) if found else ("", "")


def _key(user_id: str, session_id: str) -> str:
    return f"{user_id}.{session_id}"


def _hash(refresh_token: str) -> str:
    return sha256(refresh_token.encode()).hexdigest()


def _renewed(session_id: str, user_id: str) -> tuple[Opened, str]:
    token = f"{user_id}.{session_id}.{secrets.token_urlsafe(32)}"
    return Opened(session_id=session_id, user_id=user_id, refresh_token=token), _hash(token)
