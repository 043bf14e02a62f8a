"""A nats-server of a test: start, stop, kill, start again on the same port and store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from services.launcher.errors import LaunchError
from services.launcher.nats_server import NatsServer
from services.launcher.ports import LOOPBACK, free_port

ATTEMPTS = 5


class Nats(NatsServer):
    """A server with its JetStream store in `store`."""

    def __init__(self, directory: Path, *, port: int, config: str) -> None:
        super().__init__(directory / "server.conf", port=port, log=directory / "server.log")
        self.store = directory / "store"
        base = f'host: "{LOOPBACK}"\nport: {port}\nserver_name: "test-{port}"\n'
        self.config.write_text(base + config.replace("{store}", str(self.store)))


JETSTREAM = 'jetstream { store_dir: "{store}", sync_interval: always }\n'


@contextmanager
def nats_server(directory: Path, config: str | None = None) -> Iterator[Nats]:
    """A running server with JetStream that syncs each write, stopped at the end, store kept.

    `config` is added to host, port and name, instead of the JetStream block; `{store}` in it is
    the store's directory.
    """
    directory.mkdir(parents=True, exist_ok=True)
    server = _started(directory, JETSTREAM if config is None else config)
    try:
        yield server
    finally:
        server.kill9()


def _started(directory: Path, config: str) -> Nats:
    for attempt in range(ATTEMPTS):
        server = Nats(directory, port=free_port(), config=config)
        try:
            server.start()
        except LaunchError:
            server.kill9()
            if attempt == ATTEMPTS - 1 or "address already in use" not in server.log.read_text():
                raise
        else:
            return server
    raise AssertionError("unreachable")
