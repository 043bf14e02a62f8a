"""Where a server's or a store's setting may lead: not into the platform's own network."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.executor.engines.postgresql import Postgresql
from services.executor.engines.postgresql.connection import connected, tool_environment
from services.executor.runners.base import Workplace
from services.executor.runners.local import Local
from shared.addresses import AddressForbiddenError
from shared.errors import PlatformError
from shared.stores.reach import EndpointRefusedError, require_permitted
from shared.stores.s3 import S3
from tests.support.postgres import Postgres

FORBIDDEN = [
    *("127.0.0.1", "localhost", "::1", "::ffff:127.0.0.1"),
    *("169.254.169.254", "169.254.10.20", "::ffff:169.254.169.254", "fe80::1"),
    *("0.0.0.0", "100.100.100.200", "224.0.0.1"),
]


@pytest.fixture
def asked_for(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names that are resolved, in order; `rebinding.test` is another machine each time."""
    asked: list[str] = []
    resolve = socket.getaddrinfo

    def lie(host: Any, *rest: Any, **told: Any) -> Any:
        asked.append(str(host))
        if host != "rebinding.test":
            return resolve(host, *rest, **told)
        return resolve("127.0.0.1" if len(asked) == 1 else "192.0.2.1", *rest, **told)

    monkeypatch.setattr(socket, "getaddrinfo", lie)
    return asked


@pytest.mark.parametrize("host", FORBIDDEN)
async def test_a_connection_test_reaches_no_service_of_the_workers_own_network(
    tmp_path: Path, host: str
) -> None:
    """Abuse case 4: neither by the driver nor by a tool."""
    engine = Postgresql(host=host, port=1, user="u", tls="off")
    async with Local().session(Workplace(folder=tmp_path / "work")) as session:
        with pytest.raises(AddressForbiddenError):
            await engine.test(session)
        with pytest.raises(AddressForbiddenError):
            await tool_environment(engine, session, "postgres")


async def test_a_name_is_resolved_once_and_its_address_connected_to(
    tmp_path: Path, postgres: Postgres, asked_for: list[str]
) -> None:
    """Abuse case 4: who answers differently the second time is not asked a second time."""
    engine = Postgresql(
        host="rebinding.test",
        port=postgres.port,
        user=postgres.user,
        password=postgres.password,
        tls="off",
    )
    here = Workplace(folder=tmp_path / "work", allow_loopback=True)
    async with Local().session(here) as session:
        async with connected(engine, session, "postgres") as connection:
            assert await connection.row("select 1 as one") == {"one": 1}
        names = [name for name in asked_for if name == "rebinding.test"]
        told = await tool_environment(engine, session, "postgres")

    assert names == ["rebinding.test"]
    assert (told["PGHOST"], told["PGHOSTADDR"]) == ("rebinding.test", "192.0.2.1")


def test_a_unix_socket_is_no_host() -> None:
    """Abuse case 4: the driver and libpq would take a path, or an abstract name, for a host."""
    for host in ("/var/run/postgresql", "@socket", "./x"):
        with pytest.raises(ValueError, match="host"):
            _decoded({"kind": "postgresql", "host": host, "user": "u"})


@pytest.mark.parametrize("host", [one for one in FORBIDDEN if one not in {"localhost"}])
async def test_an_s3_endpoint_is_no_way_to_the_clouds_credentials(host: str) -> None:
    """Abuse case 7."""
    named = f"[{host}]" if ":" in host else host
    store = S3(
        bucket="bucket",
        access_key_id="a",
        secret_access_key="s",
        endpoint=f"http://{named}:8080",
        allow_http=True,
    )

    with pytest.raises(EndpointRefusedError):
        await require_permitted(store, allow_loopback=False)


async def test_a_store_on_this_machine_is_for_those_who_run_everything_on_it() -> None:
    store = S3(
        bucket="bucket",
        access_key_id="a",
        secret_access_key="s",
        endpoint="http://127.0.0.1:9000",
        allow_http=True,
    )

    await require_permitted(store, allow_loopback=True)
    with pytest.raises(PlatformError, match="no address of a store"):
        await require_permitted(store, allow_loopback=False)


def _decoded(config: dict[str, Any]) -> Postgresql:
    return msgspec.convert(config, Postgresql)
