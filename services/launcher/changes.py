"""Fulfils wishes on a running platform: new keys, new passwords, outside systems."""

from __future__ import annotations

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import structlog
from cryptography.fernet import Fernet
from uuid_utils.compat import uuid7

from services.launcher.audit_key import rotate_audit_key, say_audit_key
from services.launcher.identity import said_identity
from services.launcher.installation import NATS_USERS, SERVICES
from services.launcher.running import Running
from services.launcher.subscribers import Subscribers
from services.launcher.wishes import Outcome, Wish, Wishes
from shared.archive.keys import RecipientKey
from shared.bus import Bus, Expect, WrongSequenceError
from shared.bus.connection import Connection
from shared.bus.jetstream import connect
from shared.bus.outside import is_answered, make_consumers
from shared.errors import PlatformError, UnavailableError
from shared.keys.bucket import BusKeys
from shared.keys.reading import adopted_beside, read_key_encryption_keys
from shared.keys.secret_keys import succeeded
from shared.keys.vault import SealedValueError, Vault, encryption_keys
from shared.keys.writing import replace
from shared.messages.base import now
from shared.messages.facts import (
    KeyAdopted,
    KeyRetired,
    KeyRewrapped,
    KeyRotated,
    SubscriberAdded,
    SubscriberRemoved,
)

ACTOR = "service:launcher"
LOOK_EVERY_S = 0.5
RELOADS = 5
RETIRE_EVERY_S = 5.0

_log = structlog.get_logger()


class Changes:
    """Looks for wishes, and fulfils one after the other."""

    def __init__(self, platform: Running) -> None:
        self._platform = platform
        self._wishes = Wishes(platform.installation.home)

    async def work(self) -> None:
        """For ever. What was changed while nothing ran is made known first."""
        await self._attempt(self._introduce_subscribers)
        retire_at, told = 0.0, False
        while True:
            if time.monotonic() >= retire_at:
                await self._attempt(self.retire_keys)
                retire_at = time.monotonic() + RETIRE_EVERY_S
            for wish in self._wishes.open():
                self._wishes.end(wish, await self._attempt(lambda: self._fulfil(wish)))  # noqa: B023
            if not told:
                told = not (await self._attempt(lambda: say_audit_key(self._platform))).cause
            await asyncio.sleep(LOOK_EVERY_S)

    async def _attempt(self, change: Callable[[], Awaitable[None]]) -> Outcome:
        try:
            await change()
        except PlatformError as error:
            _log.error("change_failed", cause=error.cause, fix=error.fix)
            return Outcome(cause=error.cause, fix=error.fix)
        except (OSError, TimeoutError) as error:
            _log.error("change_failed", cause=str(error))
            return Outcome(cause=f"the change failed: {error}", fix="try again")
        return Outcome()

    async def _fulfil(self, wish: Wish) -> None:
        match wish.kind:
            case "secrets":
                await self._rotate_secrets()
            case "jwt":
                await self._rotate_jwt()
            case "nats":
                await self._rotate_nats()
            case "master":
                await self._rotate_master()
            case "audit":
                await rotate_audit_key(self._platform, wish.id)
            case "adopt":
                await self._use_adopted()
                return
            case "subscribers":
                await self._platform.configure_nats()
                await self._introduce_subscribers()
                return
        await self._say_rotated(wish)

    async def _rotate_secrets(self) -> None:
        """A new key in front. The one before stays, for copies of the sealing keys made so far.

        Whoever seals must not use a key that another does not know yet, so all stop for a moment.
        """
        path = self._platform.installation.keys.encryption_key
        known = encryption_keys(path.read_text())
        await self._rewrap(known)  # then nothing needs any but the newest
        keys = [Fernet.generate_key().decode(), known[0]]
        async with self._platform.paused(self._told("ENCRYPTION_KEY_FILE")):
            replace(path, ",".join(keys).encode())
        await self._rewrap(keys)

    async def _rewrap(self, keys: Sequence[str]) -> None:
        async with self._bus() as bus:
            try:
                await Vault(BusKeys(bus), keys).rewrap()
            except SealedValueError as error:  # all others are wrapped; those were lost before
                _log.error("sealing_keys_lost", cause=error.cause)

    async def _rotate_jwt(self) -> None:
        path = self._platform.installation.keys.secret_key
        new = base64.b64encode(secrets.token_bytes(32)).decode()
        async with self._platform.paused(self._told("SECRET_KEY_FILE")):
            replace(path, succeeded(path.read_text(), new, now()).encode())

    async def _rotate_nats(self) -> None:
        passwords = self._platform.installation.passwords
        async with self._platform.paused(SERVICES):
            for user in NATS_USERS:
                replace(passwords.file(f"nats-{user}"), secrets.token_urlsafe(24).encode())
            await self._platform.configure_nats()

    async def _rotate_master(self) -> None:
        """A new key in front, for new archives; the scheduler seals the others to it meanwhile.

        The file comes first, so that nothing is ever sealed to a key that nobody keeps.
        """
        path = self._platform.installation.keys.kek
        async with self._bus() as bus:
            setting, seq = await said_identity(bus)
            keys = read_key_encryption_keys(path)
            if setting.platform_recipient == keys[0].public.text():  # else half of it was done
                keys = (RecipientKey.generate(), *keys)
                async with self._platform.paused(self._told("KEK_FILE")):
                    _write_keys(path, keys)
            told = msgspec.structs.replace(
                setting, id=uuid7(), at=now(), platform_recipient=keys[0].public.text()
            )
            await bus.append(told, expect=Expect(seq))

    async def _use_adopted(self) -> None:
        """Let the scheduler open archives with the keys of other installations in the folder."""
        kek = self._platform.installation.keys.kek
        async with self._bus() as bus:
            for key in adopted_beside(kek):
                with suppress(WrongSequenceError):  # adopted before
                    fact = KeyAdopted(actor=ACTOR, key_id=key.public.id)
                    await bus.append(fact, expect=Expect(0))
        async with self._platform.paused(self._told("KEK_FILE")):
            pass

    async def retire_keys(self) -> None:
        """Remove the keys that no archive needs any more: it was said, then it is done."""
        path = self._platform.installation.keys.kek
        newest, *older = read_key_encryption_keys(path)
        if not older:
            return
        async with self._bus() as bus:
            said = await bus.last_of("evt.key.rewrapped.core.master")
            fact = said[-1].message if said else None
            if not isinstance(fact, KeyRewrapped) or fact.newest != newest.public.id:
                return
            for key in older:
                with suppress(WrongSequenceError):  # said before an interruption
                    await bus.append(
                        KeyRetired(actor=ACTOR, key_id=key.public.id), expect=Expect(0)
                    )
        async with self._platform.paused(self._told("KEK_FILE")):
            _write_keys(path, (newest,))

    def _told(self, variable: str) -> list[str]:
        """The services that are given a file by this variable."""
        environment = self._platform.installation.environment
        return [service for service in SERVICES if variable in environment(service)]

    async def _say_rotated(self, wish: Wish) -> None:
        fact = KeyRotated(id=wish.id, actor=ACTOR, key_id=wish.kind)
        async with self._bus() as bus:
            last = await bus.last_of(fact.subject)
            if not last or last[-1].message.id != wish.id:
                await bus.append(fact, expect=Expect(last[-1].seq if last else 0))

    async def _introduce_subscribers(self) -> None:
        """Make the consumers of the outside systems in the folder, and log who came and went."""
        there = Subscribers(self._platform.installation.keys).all()
        settings = self._platform.installation.bus_settings()
        connection = Connection(settings, "launcher")
        async with connection.kept():
            link = await connection.link()
            await make_consumers(link, {name: one.replay for name, one in there.items()})
        for name, one in there.items():
            await self._let_in(name, one.password)
        async with self._bus() as bus:
            await _log_subscribers(bus, set(there))

    async def _let_in(self, name: str, password: str) -> None:
        """nats-server binds what a new account imports at the reload after the one it came with."""
        url = self._platform.installation.nats_url
        for _ in range(RELOADS):
            if await is_answered(url, name, password):
                return
            await self._platform.configure_nats()
        raise UnavailableError(f"nats-server does not let {name} in", fix="restart the platform")

    @asynccontextmanager
    async def _bus(self) -> AsyncIterator[Bus]:
        settings = self._platform.installation.bus_settings()
        async with connect(settings, source="launcher") as bus:
            yield bus


def _write_keys(path: Path, keys: Sequence[RecipientKey]) -> None:
    replace(path, ",".join(key.printed() for key in keys).encode())


async def _log_subscribers(bus: Bus, there: set[str]) -> None:
    last = {said.message.key: said for said in await bus.last_of("evt.subscriber.*.core.*")}  # type: ignore[union-attr]
    known = {key for key, said in last.items() if isinstance(said.message, SubscriberAdded)}
    for name in sorted(there ^ known):
        kind = SubscriberAdded if name in there else SubscriberRemoved
        seq = last[name].seq if name in last else 0
        expect = Expect(seq, f"evt.subscriber.*.core.{name}")
        await bus.append(kind(actor=ACTOR, subscriber=name), expect=expect)
