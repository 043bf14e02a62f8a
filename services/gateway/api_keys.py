"""API keys: read from a request, and how long ago each was used."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256

import msgspec

from services.gateway.callers import Grants
from services.gateway.rights import Right
from shared.bus import Kv
from shared.messages.values import Grant, Role

PREFIX = "hfk_"
NOTED_EVERY_S = 60.0
MOST_REMEMBERED = 10_000
_TOKEN = re.compile(r"^hfk_([0-9a-f]{32})_([A-Za-z0-9_-]{43})$")


class ApiKey(msgspec.Struct, frozen=True):
    """A key as its holder sends it: which one, and the hash of what proves it."""

    key_id: str
    secret_sha256: str


def new_secret(key_id: str) -> tuple[str, str]:
    """The token to show once, and the hash to keep. `key_id` is a UUID."""
    secret = secrets.token_urlsafe(32)
    return f"{PREFIX}{key_id.replace('-', '')}_{secret}", sha256(secret.encode()).hexdigest()


def read(token: str) -> ApiKey | None:
    """The key that a bearer token is, or None."""
    found = _TOKEN.match(token)
    if found is None:
        return None
    plain = found[1]
    parts = (plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:])
    return ApiKey("-".join(parts), sha256(found[2].encode()).hexdigest())


def limit_of(rights: list[str], grants: list[Grant]) -> Grants:
    """What a key adds to its account's own grants: only these rights, only there."""
    others = [right.value for right in Right if right.value not in rights]
    return tuple(
        msgspec.structs.replace(grant, without=sorted({*grant.without, *others}))
        for grant in grants or [Grant(role=Role.ADMIN)]
    )


class Uses:
    """When each key was last used: in KV and at most once a minute, since an event of each use
    would fill the log."""

    def __init__(self, bucket: Kv, clock: Callable[[], datetime]) -> None:
        self._bucket, self._clock = bucket, clock
        self._noted: dict[str, datetime] = {}

    async def note(self, key_id: str) -> None:
        """The key is used now."""
        at = self._clock()
        before = self._noted.get(key_id)
        if before is not None and (at - before).total_seconds() < NOTED_EVERY_S:
            return
        if len(self._noted) >= MOST_REMEMBERED:
            self._noted.clear()
        self._noted[key_id] = at
        await self._bucket.put(key_id, msgspec.json.encode(at))

    async def last(self, key_id: str) -> datetime | None:
        """When the key was last used, to the minute; None when never."""
        entry = await self._bucket.get(key_id)
        if entry is None or entry.value is None:
            return None
        return msgspec.json.decode(entry.value, type=datetime)

    async def forget(self, key_id: str) -> None:
        """The key is gone."""
        self._noted.pop(key_id, None)
        await self._bucket.delete(key_id)
