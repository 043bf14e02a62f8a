"""Sends each server's probe, once a minute, as an order to its pool."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID, uuid5

from services.health.watched import Watched
from shared.bus import Bus, Expect, WrongSequenceError
from shared.keys.opened import open_server, pool_key, sealed_to
from shared.keys.vault import Vault
from shared.messages.orders import ProbeServer

EVERY_S = 60

ACTOR = "service:health"


def probe_id(server: Watched, now: datetime) -> UUID:
    """The same within one minute of one version of a server, whoever asks.

    The minutes of different servers begin at different seconds, so that probes spread; a changed
    setting is probed at once.
    """
    slot = int(now.timestamp() + server.id.int % EVERY_S) // EVERY_S
    return uuid5(server.id, f"probe {server.version} {slot}")


class Probes:
    """Remembers what it sent last; what several replicas send is one order all the same."""

    def __init__(self, bus: Bus, vault: Vault) -> None:
        self._bus, self._vault = bus, vault
        self._sent: dict[UUID, UUID] = {}

    async def send(self, server: Watched, now: datetime) -> None:
        """Send this minute's probe, unless it was sent or the pool has no worker yet.

        Raises SealedValueError when the server's secrets cannot be opened.
        """
        identity = probe_id(server, now)
        if self._sent.get(server.id) == identity:
            return
        public = await pool_key(self._bus, server.setting.pool)
        if public is None:
            return
        order = ProbeServer(
            id=identity,
            actor=ACTOR,
            pool=server.setting.pool,
            run_id=identity,
            not_after=now + timedelta(seconds=EVERY_S),
            sealed="",
            server_id=server.id,
        )
        # Remembered first: what cannot be opened is tried again next minute, not at every look.
        self._sent[server.id] = identity
        sealed = sealed_to(public, order, await open_server(self._vault, server.setting))
        try:
            await self._bus.append(sealed, expect=Expect(0))
        except WrongSequenceError:
            return  # another replica, or we before a restart

    def only(self, server_ids: set[UUID]) -> None:
        """Forget every other server."""
        self._sent = {key: value for key, value in self._sent.items() if key in server_ids}
