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
from services.launcher.audit_key import rotate_audit_key
from shared.keys.reading import read_signing_key
from shared.keys.secret_keys import secret_keys
from shared.keys.sheet import parse_sheet, recovery_sheet
from shared.messages.facts import (
    KeyExportRequested,
    KeyRotated,
    SubscriberAdded,
    SubscriberRemoved,
)
from shared.messages.settings import PlatformSetting
from tests.support.platform import ADMIN, Installed, installed
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(400)

SERVICES = ("auditor", "gateway", "storage")
EXAMPLE = Path(__file__).resolve().parents[2] / "docs/examples/subscriber.py"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Installed]:
    async with installed(tmp_path, services=SERVICES) as running:
        yield running


async def holdfast(house: Installed, *arguments: str, **environment: str) -> str:
    """The command line on this machine; what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli.main", *arguments),
        env={
            "PATH": os.environ["PATH"],
            "HOLDFAST_HOME": str(house.home.root),
            **environment,
        },
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


async def test_the_recovery_key_is_handed_out_once_a_checkpoint_holds_the_wish(
    house: Installed, tmp_path: Path
) -> None:
    token, page = tmp_path / "token", tmp_path / "page"
    token.write_text(house.authorization.removeprefix("Bearer "))
    token.chmod(0o600)
    expected = house.platform.installation.keys.recovery_key.read_text()

    printed = await holdfast(
        house, "key", "export-recovery", "--form", "key", HOLDFAST_TOKEN_FILE=str(token)
    )
    await holdfast(
        house, "key", "export-recovery", "--file", str(page), HOLDFAST_TOKEN_FILE=str(token)
    )

    assert printed.strip() == expected
    assert parse_sheet(page.read_text()).keys["recovery_key"] == expected
    assert page.stat().st_mode & 0o777 == 0o600
    facts = await said(house, KeyExportRequested)
    assert [fact.key_id for fact in facts] == ["recovery", "recovery"]
    covered = await house.rows("select max(size) from audit_checkpoints")
    seqs = [one.seq for one in await house.messages() if one.message.id == facts[-1].id]
    assert covered[0][0] >= seqs[0]
    logs = b"".join(path.read_bytes() for path in house.home.root.rglob("*.log"))
    events = b"".join(one.data for one in await house.messages())
    assert expected.encode() not in logs + events


async def test_the_audit_log_goes_over_to_a_new_key_and_proves_itself_by_either(
    house: Installed, tmp_path: Path
) -> None:
    keys, token = house.platform.installation.keys, tmp_path / "token"
    token.write_text(house.authorization.removeprefix("Bearer "))
    token.chmod(0o600)
    old = read_signing_key(keys.audit_key).public.hex()

    await holdfast(house, "key", "rotate", "--kind", "audit")
    await holdfast(house, "key", "rotate", "--kind", "audit")

    new, log = read_signing_key(keys.audit_key).public.hex(), tmp_path / "audit"
    assert [fact.key_id for fact in await said(house, KeyRotated)] == ["audit", "audit"]
    identity = (await said(house, PlatformSetting))[-1]
    assert (identity.audit_keys[0], identity.audit_keys[-1]) == (old, new)
    changed = [one.seq for one in await house.messages()][-1]

    async def covered() -> bool:
        return (await house.rows("select max(size) from audit_checkpoints"))[0][0] >= changed

    await eventually(covered, within=20)
    here = {"HOLDFAST_TOKEN_FILE": str(token)}
    await holdfast(house, "audit", "export", str(log), **here)
    await rotate_audit_key(house.platform, (await said(house, KeyRotated))[-1].id)  # killed, again
    assert read_signing_key(keys.audit_key).public.hex() == new
    for key in (old, new):
        verified = await holdfast(house, "audit", "verify", str(log), "--key", key)
        proved = await holdfast(house, "audit", "proof", "0", "--key", key, **here)
        assert "true" in verified.lower()
        assert "true" in proved.lower()
    with pytest.raises(AssertionError, match="none of those"):
        await holdfast(house, "audit", "verify", str(log), "--key", "ab" * 32)
    assert parse_sheet(recovery_sheet(keys).text()).keys["audit_handover_2"]


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
