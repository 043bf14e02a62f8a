"""A nats-server with the platform's streams, users and permissions, and buses on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from shared.bus import Bus
from shared.bus.bootstrap import bootstrap
from shared.bus.configuration import AGENT_API, READERS, render_config
from shared.bus.jetstream import BusSettings, connect
from shared.bus.redelivery import Redelivery
from tests.support.nats import Nats, nats_server

SERVICES = (
    "gateway",
    "scheduler",
    "executor",
    "storage",
    "retention",
    "notifier",
    "auditor",
    "health",
)
QUICK = Redelivery(silence_s=1.0, delays_s=(0.05, 0.1))


class PlatformNats:
    """The server, and how each user signs in."""

    def __init__(self, server: Nats, passwords: dict[str, str]) -> None:
        self.server, self._passwords = server, passwords

    def settings(self, user: str) -> BusSettings:
        return BusSettings(
            nats_url=self.server.url,
            nats_user=user,
            nats_password=self._passwords[user],
            nats_readers=READERS if user.startswith("agent-") else 0,
            nats_api=AGENT_API if user.startswith("agent-") else "$JS.API",
        )

    async def bootstrap(self) -> None:
        await bootstrap(self.settings("bootstrap"))

    @asynccontextmanager
    async def bus(self, user: str, *, gate: bool = False) -> AsyncIterator[Bus]:
        source = user
        async with connect(self.settings(user), source=source, gate=gate, pace=QUICK) as bus:
            yield bus


@contextmanager
def platform_nats(
    directory: Path, agents: Sequence[str] = (), subscribers: Sequence[str] = ()
) -> Iterator[PlatformNats]:
    """A running server with every user; the streams are made by `bootstrap`."""
    users = [*SERVICES, "bootstrap", *(f"agent-{pool}" for pool in agents)]
    passwords = {user: f"password-of-{user}" for user in users}
    outside = {name: f"password-of-outside-{name}" for name in subscribers}
    rendered = render_config(
        port=0,
        store_dir=directory / "store",
        passwords=passwords,
        agents=agents,
        subscribers=outside,
    )
    passwords |= {f"outside-{name}": password for name, password in outside.items()}
    # The test's server chooses host, port and name, so it keeps only what follows them.
    _, _, rest = rendered.partition("max_payload:")
    config = f'NATS_STORE_DIR: "{directory / "store"}"\nmax_payload:{rest}'
    with nats_server(directory, config) as server:
        yield PlatformNats(server, passwords)


@asynccontextmanager
async def plain_bus(server: Nats, *, gate: bool = False) -> AsyncIterator[Bus]:
    """A bus on a server without users."""
    settings = BusSettings(nats_url=server.url)
    async with connect(settings, source="test", gate=gate, pace=QUICK) as bus:
        yield bus
