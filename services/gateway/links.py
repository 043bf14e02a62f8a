"""Links that work once, for one account and one backup; only their hashes are kept."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from services.gateway.secret_key import SecretKey
from shared.archive.keys import RecipientKey
from shared.bus import Kv

LIVES = timedelta(minutes=5)
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_USED = b"used"


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """What a link stands for. `request` and `request_seq` are of the fact that asked for it;
    `key` is the wrapped private half that the archive's key is sealed to, if it is needed."""

    user_id: str
    backup_id: UUID
    download_id: UUID
    decrypt: bool
    request: UUID
    request_seq: int
    valid_until: datetime
    key: str = ""

    def __repr__(self) -> str:
        return f"Link(backup_id={self.backup_id!r}, decrypt={self.decrypt!r})"


class Found(msgspec.Struct, frozen=True):
    """A living link and the revision that using it replaces."""

    place: str
    link: Link
    revision: int


def new_token() -> str:
    """256 random bits: what is in the address, and nowhere else."""
    return secrets.token_urlsafe(32)


class Links:
    """Keeps links in the bucket until they are used or too old."""

    def __init__(self, bucket: Kv, secret: SecretKey, clock: Callable[[], datetime]) -> None:
        self._bucket, self._clock = bucket, clock
        self._wrap = Fernet(base64.urlsafe_b64encode(secret.of("download-key")))

    def wrapped(self, key: RecipientKey) -> str:
        """A private half as a link may hold it."""
        return self._wrap.encrypt(key.seed).decode()

    def unwrapped(self, link: Link) -> RecipientKey | None:
        """The private half; None where SECRET_KEY has changed meanwhile."""
        try:
            return RecipientKey(self._wrap.decrypt(link.key.encode()))
        except InvalidToken:
            return None

    async def keep(self, token: str, link: Link) -> None:
        """Make the link work."""
        lives = max(1.0, (link.valid_until - self._clock()).total_seconds())
        await self._bucket.create(_place(token), msgspec.json.encode(link), ttl_s=lives)

    async def find(self, token: str, user_id: str) -> Found | None:
        """The link, for the account that it was made for, while it lives and was not used."""
        if not _TOKEN.fullmatch(token):
            return None
        place = _place(token)
        entry = await self._bucket.get(place)
        if entry is None or entry.value in {None, _USED}:
            return None
        link = msgspec.json.decode(entry.value or b"", type=Link)
        if link.user_id != user_id or self._clock() >= link.valid_until:
            return None
        return Found(place, link, entry.revision)

    async def use(self, found: Found) -> bool:
        """Use the link up; False where somebody was faster. The private half is gone with it."""
        ttl_s = LIVES.total_seconds()
        used = await self._bucket.update(found.place, _USED, revision=found.revision, ttl_s=ttl_s)
        return used is not None


def _place(token: str) -> str:
    return f"download.{sha256(token.encode()).hexdigest()}"
