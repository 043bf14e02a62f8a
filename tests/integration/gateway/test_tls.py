"""TLS on the gateway itself: real handshakes, and a certificate that is renewed meanwhile."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from services.gateway.__main__ import listen
from services.launcher.ports import free_port
from shared.keys.authority import Authority, Pair
from tests.integration.gateway.platform import Gateway
from tests.support.waiting import eventually

HOST = "127.0.0.1"


@asynccontextmanager
async def served(gateway: Gateway, **settings: Any) -> AsyncIterator[int]:
    """The port where granian serves the gateway with these settings."""
    port = free_port()
    changed = msgspec.structs.replace(gateway.deps.settings, gateway_port=port, **settings)
    deps = msgspec.structs.replace(gateway.deps, settings=changed)
    serving = asyncio.create_task(listen(deps, look_every_s=0.05))
    try:
        await eventually(lambda: _open(port, serving), within=30, what="the gateway listens")
        yield port
    finally:
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving


async def _open(port: int, serving: asyncio.Task[None]) -> bool:
    assert not serving.done(), serving.exception()
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True


def trusting(authority: Authority) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authority.pair.certificate.decode())


def write(folder: Path, pair: Pair) -> dict[str, str]:
    """The files of a pair, and the settings that name them."""
    (folder / "cert.pem").write_bytes(pair.certificate)
    (folder / "key.pem").write_bytes(pair.key)
    return {
        "tls_cert": pair.certificate.decode(),
        "tls_key": pair.key.decode(),
        "tls_cert_file": str(folder / "cert.pem"),
        "tls_key_file": str(folder / "key.pem"),
    }


async def serial_of(port: int, authority: Authority) -> str:
    """The serial number of the certificate that is shown now."""
    _, writer = await asyncio.open_connection(HOST, port, ssl=trusting(authority))
    shown = writer.get_extra_info("peercert")
    writer.close()
    return str(shown["serialNumber"])


async def test_it_is_reached_by_https_only_and_browsers_are_told_to_stay_there(
    gateway: Gateway,
) -> None:
    authority = Authority.make("test")
    pair = authority.certify(HOST)
    by_value = {"tls_cert": pair.certificate.decode(), "tls_key": pair.key.decode()}

    async with served(gateway, **by_value) as port:
        async with httpx.AsyncClient(verify=trusting(authority)) as client:
            answer = await client.get(f"https://{HOST}:{port}/healthz")
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.HTTPError):
                await client.get(f"http://{HOST}:{port}/healthz")
            with pytest.raises(httpx.ConnectError):
                await client.get(f"https://{HOST}:{port}/healthz")

    assert answer.status_code == 200
    assert answer.headers["strict-transport-security"].startswith("max-age=31536000")


async def test_old_versions_of_tls_are_refused(gateway: Gateway, tmp_path: Path) -> None:
    authority = Authority.make("test")
    old = trusting(authority)
    old.maximum_version = ssl.TLSVersion.TLSv1_2

    async with served(gateway, **write(tmp_path, authority.certify(HOST))) as port:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(HOST, port, ssl=old)


async def test_a_renewed_certificate_is_shown_without_a_restart(
    gateway: Gateway, tmp_path: Path
) -> None:
    authority = Authority.make("test")
    async with (
        served(gateway, **write(tmp_path, authority.certify(HOST))) as port,
        httpx.AsyncClient(verify=trusting(authority), base_url=f"https://{HOST}:{port}") as client,
    ):
        before = await serial_of(port, authority)
        assert (await client.get("/healthz")).status_code == 200

        write(tmp_path, authority.certify(HOST))

        async def renewed() -> bool:
            return await serial_of(port, authority) != before

        await eventually(renewed, within=30, what="the new certificate is shown")
        assert (await client.get("/healthz")).status_code == 200


async def test_half_a_renewal_changes_nothing(gateway: Gateway, tmp_path: Path) -> None:
    authority = Authority.make("test")
    async with served(gateway, **write(tmp_path, authority.certify(HOST))) as port:
        before = await serial_of(port, authority)

        (tmp_path / "cert.pem").write_bytes(authority.certify(HOST).certificate)
        for _ in range(5):
            await asyncio.sleep(0.05)
            assert await serial_of(port, authority) == before
