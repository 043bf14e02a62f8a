"""Deletes the envelopes that a newer one replaced: only then do old keys open nothing any more."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import TypeAlias

import structlog

from services.storage.opening import Desk
from services.storage.scan import Folder, envelope_number, parsed
from shared.bus import Bus
from shared.messages.facts import ArchiveRewrapped, BackupRewrapped
from shared.messages.facts.archives import archive_id
from shared.stores.base import Store, StoreError

Rewrapped: TypeAlias = BackupRewrapped | ArchiveRewrapped

_log = structlog.get_logger()


class Envelopes:
    """The envelopes in one store. What it did not hear of, a comparison with the store finds."""

    def __init__(self, bus: Bus, desk: Desk) -> None:
        self._bus, self._desk = bus, desk
        self._heard: dict[str, Rewrapped] = {}

    def hear(self, fact: Rewrapped) -> None:
        """A newer envelope is proven: those before it are to go."""
        self._heard[fact.prefix] = fact

    async def tidy(self, _seq: int) -> None:
        """Delete what the facts that were heard made needless."""
        if not self._heard:
            return
        async with self._desk.taken("tidy") as store:
            while self._heard:
                _, fact = self._heard.popitem()
                if store is not None:
                    await _delete_older(store, fact)

    async def compare(self, store: Store, several: Iterable[Folder]) -> None:
        """Delete what is needless in folders with several envelopes, as far as the log says so."""
        for backup_id, attempt in several:
            copy = archive_id(backup_id, self._desk.store_id)
            told = [
                *await self._bus.last_of(f"evt.backup.rewrapped.*.{backup_id}"),
                *await self._bus.last_of(f"evt.archive.rewrapped.*.{copy}"),
            ]
            for fact in (one.message for one in told):
                if isinstance(fact, Rewrapped) and (fact.store_id, fact.prefix) == (
                    self._desk.store_id,
                    f"{backup_id}/{attempt}",
                ):
                    await _delete_older(store, fact)


async def _delete_older(store: Store, fact: Rewrapped) -> None:
    folder = parsed(f"{fact.prefix}/envelope")
    if folder is None or folder[0] != fact.backup_id:
        return  # no attempt's own folder
    found = {envelope_number(info.key): info.key async for info in store.list(fact.prefix)}
    if fact.envelope not in found:
        return
    for number in sorted(one for one in found if 0 < one < fact.envelope):
        with suppress(StoreError):  # locked, for one: the next comparison finds it
            await store.delete(found[number])
            continue
        _log.warning("an older envelope stays", backup_id=fact.backup_id, number=number)
    # Nobody writes here any more, so this is what a scheduler that was killed left half written.
    await store.abort_uploads(fact.prefix, timedelta(0))
