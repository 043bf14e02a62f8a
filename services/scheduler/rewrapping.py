"""After a new key-encryption key: seals every archive in every store to it, in the background.

The scheduler alone holds the keys that open archives, so it writes the new envelopes; the old ones
are storage's to delete, once it hears that the new one is proven. What is left to do stands in the
read model, so that an end at any moment costs one envelope at most.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Protocol
from uuid import UUID

import structlog

from services.scheduler.damage import Suspect, is_damage, say_damaged
from services.scheduler.sealed import Sealed, SealedArchives
from shared.archive.envelopes import Sealed as Envelope
from shared.archive.envelopes import rotate_envelope
from shared.archive.errors import ArchiveError, NoKeyError
from shared.archive.keys import Recipient, RecipientKey
from shared.bus import Bus, Expect, WrongSequenceError
from shared.errors import PlatformError, UnavailableError
from shared.faults import Point, no_point
from shared.messages.base import Fact
from shared.messages.facts import ArchiveRewrapped, BackupRewrapped, KeyRewrapped
from shared.messages.settings import PlatformSetting
from shared.stores import Store

ACTOR = "service:scheduler"
MASTER = "master"
AT_ONCE, PAGE = 4, 200
ANSWERS_WITHIN_S = 60.0
LOOK_EVERY_S, AGAIN_S = 2.0, 60.0
FAILED, STORE_FAILED, FOREIGN = 0, -1, -2
"""Instead of a place in the log: the archive, or its store, could not be worked on now; or none of
our keys opens it."""

_log = structlog.get_logger()


class Installation(Protocol):
    """What a rotation needs of the scheduler's parts."""

    async def platform(self) -> PlatformSetting | None:
        """This installation; None before its first start is over."""


class StoresById(Protocol):
    """Opens stores with their credentials."""

    async def open(self, store_id: str) -> Store:
        """The store as it is configured now; raises StoreGoneError once it was removed."""


class Rewrapping:
    """Works while there is more than one key, and says when none but the newest is needed.

    `adopted` are keys of other installations: what they open is sealed to ours, too.
    """

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        bus: Bus,
        installation: Installation,
        sealed: SealedArchives,
        stores: StoresById,
        keys: tuple[RecipientKey, ...],
        *,
        adopted: tuple[RecipientKey, ...] = (),
        point: Point = no_point,
    ) -> None:
        self._bus, self._installation, self._sealed = bus, installation, sealed
        self._stores, self._keys, self._point = stores, keys, point
        self._adopted, self._rotating = adopted, len(keys) > 1
        self._awaited: set[UUID] | None = None
        self._woken = asyncio.Event()
        # Archives that none of the keys opens: they need none of them either.
        self._foreign: set[UUID] = set()

    def wake(self) -> None:
        """Archives that adopted keys open may have come."""
        self._woken.set()

    async def keep(self) -> None:
        """Until nothing is sealed to an older key; for ever while there are adopted ones."""
        self._awaited = None
        while self._rotating or self._adopted:
            pause_s = LOOK_EVERY_S
            self._woken.clear()
            with suppress(UnavailableError):  # the next look finds the same
                pause_s = await self.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._woken.wait()

    async def look(self) -> float:
        """One pass over all archives; returns the seconds until the next."""
        recipients = await self._recipients()
        if recipients is None:
            return LOOK_EVERY_S
        found, failed = await self._pass(recipients)
        if failed:
            return AGAIN_S
        if found:
            self._awaited = None
            return 0.0
        return await self._settle() if self._rotating else AGAIN_S

    async def _settle(self) -> float:
        """Nothing was found: say so, once nothing can come any more that needs an older key."""
        # What began before the last envelope was written may have been told of an older key.
        under_way = await self._sealed.under_way()
        self._awaited = under_way if self._awaited is None else self._awaited & under_way
        if self._awaited:
            return LOOK_EVERY_S
        limit = len(self._foreign) + 1
        left = await self._sealed.otherwise(self._newest, None, limit)
        if all(one.id in self._foreign for one in left):
            await self._say(KeyRewrapped(actor=ACTOR, key_id=MASTER, newest=self._newest))
            self._rotating = False
        return 0.0

    @property
    def _newest(self) -> str:
        return self._keys[0].public.id

    async def _recipients(self) -> tuple[Recipient, ...] | None:
        """Whom archives are sealed to; None until everybody is told of the newest key."""
        platform = await self._installation.platform()
        if platform is None:
            return None
        recipients = platform.platform_recipient, platform.recovery_recipient
        found = tuple(map(Recipient.parse, recipients))
        return found if found[0].id == self._newest else None

    async def _pass(self, recipients: tuple[Recipient, ...]) -> tuple[bool, bool]:
        """Whether there was anything to do, and whether any of it failed."""
        found, failed, last_seq = False, False, 0
        after: UUID | None = None
        unreachable: set[str] = set()
        while page := await self._sealed.otherwise(self._newest, after, PAGE):
            for at in range(0, len(page), AT_ONCE):
                some = [
                    one
                    for one in page[at : at + AT_ONCE]
                    if one.store_id not in unreachable and one.id not in self._foreign
                ]
                seqs = await asyncio.gather(*(self._try(one, recipients) for one in some))
                pairs = zip(some, seqs, strict=True)
                unreachable |= {one.store_id for one, seq in pairs if seq == STORE_FAILED}
                failed |= any(seq in {FAILED, STORE_FAILED} for seq in seqs)
                found |= any(seq > 0 for seq in seqs)
                last_seq = max(last_seq, *seqs, 0)
            after = page[-1].id
        await self._sealed.at_least(last_seq)
        return found, failed

    async def _try(self, one: Sealed, recipients: tuple[Recipient, ...]) -> int:
        """The place of what was said of it; or FAILED, STORE_FAILED, FOREIGN."""
        try:
            return await self._rewrap(one, recipients)
        except NoKeyError:
            self._foreign.add(one.id)
            _log.warning("not_rewrapped", backup_id=one.backup_id, code=NoKeyError.code)
            return FOREIGN
        except TimeoutError:
            _log.warning("not_rewrapped", store_id=one.store_id, code="store.unreachable")
            return STORE_FAILED
        except PlatformError as error:
            _log.warning("not_rewrapped", backup_id=one.backup_id, code=error.code)
            return STORE_FAILED if error.retryable else FAILED

    async def _rewrap(self, one: Sealed, recipients: tuple[Recipient, ...]) -> int:
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            store = await self._stores.open(one.store_id)
            keys = (*self._keys, *self._adopted)
            try:
                sealed = await rotate_envelope(store, one.prefix, keys, recipients)
            except ArchiveError as error:
                if is_damage(error):
                    # The older key is still waited for: the archive may be mended, or deleted.
                    await say_damaged(self._bus, store, _suspect(one), error)
                raise
        await self._point("rewrap-written")
        seq = await self._say(_rewrapped(one, sealed))
        await self._point("rewrap-said")
        return seq

    async def _say(self, fact: Fact) -> int:
        """Append the fact unless another replica said so at the same moment; its place."""
        last = await self._bus.last_of(fact.subject)
        try:
            return (await self._bus.append(fact, expect=Expect(last[-1].seq if last else 0))).seq
        except WrongSequenceError:
            return (await self._bus.last_of(fact.subject))[-1].seq


def _suspect(one: Sealed) -> Suspect:
    return Suspect(
        backup_id=one.backup_id,
        archive_id=one.archive_id,
        store_id=one.store_id,
        prefix=one.prefix,
    )


def _rewrapped(one: Sealed, envelope: Envelope) -> Fact:
    told: dict[str, Any] = {
        "actor": ACTOR,
        "backup_id": one.backup_id,
        "store_id": one.store_id,
        "prefix": one.prefix,
        "envelope": envelope.number,
        "recipients": [*envelope.recipients],
        "envelope_sha256": envelope.sha256,
    }
    if one.archive_id is None:
        return BackupRewrapped(**told)
    return ArchiveRewrapped(**told, archive_id=one.archive_id)
