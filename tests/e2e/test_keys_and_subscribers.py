"""New keys, new passwords and outside systems, on a platform that runs meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import nats
import nats.errors
import pytest
from cryptography.fernet import Fernet, InvalidToken

from services.cli.demo.api import Api, CallRefusedError
from shared.keys.secret_keys import secret_keys
from shared.keys.sheet import recovery_sheet
from shared.messages.facts import KeyRotated, SubscriberAdded, SubscriberRemoved
from tests.support.platform import ADMIN, Installed, installed
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(400)

SERVICES = ("auditor", "gateway", "storage")
EXAMPLE = Path(__file__).resolve().parents[2] / "docs/examples/subscriber.py"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Installed]:
    async with installed(tmp_path, services=SERVICES) as running:
        yield running


async def holdfast(house: Installed, *arguments: str) -> str:
    """The command line on this machine; what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli.main", *arguments),
        env={"PATH": os.environ["PATH"], "HOLDFAST_HOME": str(house.home.root)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def said(house: Installed, kind: type) -> list[Any]:
    return [one.message for one in await house.messages() if isinstance(one.message, kind)]


async def wrapped(house: Installed) -> dict[str, bytes]:
    """Every wrapped sealing key in the bucket."""
    async with house.bus() as bus:
        bucket = bus.kv("keys")
        found = {name: await bucket.get(name) for name in await bucket.keys("secret-")}
        found |= {name: await bucket.get(name) for name in await bucket.keys("person-")}
    return {name: entry.value for name, entry in found.items() if entry and entry.value}


async def test_new_encryption_keys_open_everything_and_the_first_is_needless_after_two(
    house: Installed,
) -> None:
    store = {"kind": "s3", "bucket": "abc", "access_key_id": "a", "secret_access_key": "canary-1"}
    await house.store("remote", store)
    keys = house.platform.installation.keys
    first, sheet = keys.encryption_key.read_text(), recovery_sheet(keys)

    await holdfast(house, "key", "rotate", "--kind", "secrets")
    second = keys.encryption_key.read_text().split(",")[0]
    me = await house.api.get("/auth/me")
    await holdfast(house, "key", "rotate", "--kind", "secrets")

    now = keys.encryption_key.read_text().split(",")
    assert me["email"] == (await house.api.get("/auth/me"))["email"] == ADMIN
    assert now[1] == second
    assert first not in now
    for value in (await wrapped(house)).values():
        Fernet(now[0]).decrypt(value)
        with pytest.raises(InvalidToken):
            Fernet(first).decrypt(value)
    assert recovery_sheet(keys).check != sheet.check
    assert [fact.key_id for fact in await said(house, KeyRotated)] == ["secrets", "secrets"]


async def test_a_new_secret_key_lets_tokens_end_in_peace_and_finds_accounts_again(
    house: Installed,
) -> None:
    keys, url = house.platform.installation.keys, house.platform.url
    before = secret_keys(keys.secret_key.read_text())[0].text

    await holdfast(house, "key", "rotate", "--kind", "jwt")

    newest, retired = secret_keys(keys.secret_key.read_text())
    assert (retired.text, newest.retired_at) == (before, None)
    assert (await house.api.get("/auth/me"))["email"] == ADMIN  # by the token of before
    async with aiohttp.ClientSession(url) as session:
        # by the claim of the address, hashed with the first key
        tokens = await Api(session).post(
            "/auth/login", {"email": ADMIN, "password": house.password}
        )
    assert tokens["access_token"]
    (fact,) = await said(house, KeyRotated)
    assert fact.key_id == "jwt"


async def test_new_passwords_lose_no_acknowledged_event(house: Installed) -> None:
    passwords = house.platform.installation.passwords
    before = {name: passwords.read(f"nats-{name}") for name in (*SERVICES, "bootstrap")}
    acknowledged: list[str] = []
    stop = asyncio.Event()

    async def register() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                store = {"kind": "local", "root": str(house.folder / f"s{number}")}
                acknowledged.append(await house.store(f"s{number}", store))
            except (OSError, CallRefusedError):
                await asyncio.sleep(0.1)

    registering = asyncio.create_task(register())
    await holdfast(house, "key", "rotate", "--kind", "nats")
    after = len(acknowledged)
    await eventually(lambda: len(acknowledged) > after, within=60)
    stop.set()
    await registering

    subjects = {one.subject for one in await house.messages()}
    assert {f"cfg.store.{store}" for store in acknowledged} <= subjects
    assert all(passwords.read(f"nats-{name}") != old for name, old in before.items())
    for user, password in before.items():
        with pytest.raises(nats.errors.Error):
            await nats.connect(
                house.platform.installation.nats_url,
                user=user,
                password=password,
                allow_reconnect=False,
                max_reconnect_attempts=1,
            )
    (fact,) = await said(house, KeyRotated)
    assert fact.key_id == "nats"


async def test_the_example_hears_facts_until_it_is_removed(
    house: Installed, tmp_path: Path
) -> None:
    login = json.loads(await holdfast(house, "subscriber", "add", "siem", "--replay", "-o", "json"))
    (tmp_path / "login.json").write_text(json.dumps(login))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(EXAMPLE), str(tmp_path / "login.json")),
        stdout=asyncio.subprocess.PIPE,
    )
    heard: list[str] = []

    async def listen() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            heard.append(line.decode())  # noqa: PERF401 - each line as it comes

    listening = asyncio.create_task(listen())
    try:
        await eventually(
            lambda: any("evt.subscriber.added.core.siem" in line for line in heard), within=60
        )
        listed = json.loads(await holdfast(house, "subscriber", "list", "-o", "json"))
        await holdfast(house, "subscriber", "remove", "siem")
    finally:
        if process.returncode is None:
            process.kill()
        await listening

    assert all(" evt." in line for line in heard)
    assert any("evt.user.signed_in" in line for line in heard)
    assert listed == [{"name": "siem", "replay": True}]
    assert len(await said(house, SubscriberAdded)) == len(await said(house, SubscriberRemoved)) == 1
    with pytest.raises(nats.errors.Error):
        await nats.connect(
            login["nats_url"],
            user=login["user"],
            password=login["password"],
            allow_reconnect=False,
            max_reconnect_attempts=1,
        )
