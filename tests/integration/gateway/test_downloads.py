"""Downloads: a link of one account for one backup, once, and only after the audit checkpoint."""

from __future__ import annotations

import asyncio
import io
import shutil
import tarfile
from collections.abc import AsyncIterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from services.gateway.links import LIVES, Links
from services.scheduler.clock import THE_CLOCK
from services.scheduler.downloads import DURABLE, REQUESTS, Downloads
from services.scheduler.orders import Orders
from services.scheduler.state import ReadModelState
from shared.bus.base import EVENTS
from shared.messages.base import now
from shared.messages.facts import (
    ArchiveExpired,
    ArchiveReplicated,
    ArchiveRequested,
    BackupAttempted,
    BackupCompleted,
    BackupCorrupted,
    BackupDownloaded,
    BackupDownloadFailed,
    BackupDownloadGranted,
    BackupExpired,
)
from shared.messages.facts.archives import archive_id
from shared.messages.values import Problem, Role
from tests.integration.gateway.platform import Gateway, Platform
from tests.integration.gateway.signing import identified, signed
from tests.integration.gateway.test_accounts import sign_in_as
from tests.integration.gateway.test_backups import projected
from tests.support.archives import RECIPIENT, archive_facts, local, make_plan, read, text, write
from tests.support.waiting import eventually

RAW = text(300_000)


@pytest.fixture
async def backup(gateway: Gateway, platform: Platform, tmp_path: Path) -> UUID:
    """A completed backup with a real archive in a folder."""
    await identified(platform)
    server = await gateway.add_server()
    store = await gateway.add_store(tmp_path / "store")
    wish = {
        "database": {"server_id": server["id"], "endpoint": "main", "name": "shop"},
        "store_id": store["id"],
    }
    made = (await gateway.call("POST", "/backups", wish)).json()
    await complete(gateway, made, tmp_path / "store")
    return UUID(made["id"])


async def complete(gateway: Gateway, made: dict[str, Any], folder: Path) -> None:
    """What an executor does and says."""
    backup_id, run_id, prefix = UUID(made["id"]), UUID(made["run_id"]), f"{made['id']}/1"
    await write(local(folder), RAW, make_plan(backup_id=made["id"], attempt="1"))
    manifest = (folder / prefix / "manifest").read_bytes()
    archive = archive_facts(raw_bytes=len(RAW), manifest_sha256=sha256(manifest).hexdigest())
    head: dict[str, Any] = {"backup_id": backup_id, "run_id": run_id, "attempt": 1}
    attempted = BackupAttempted(**head, worker="w", store_id=made["store_id"], prefix=prefix)
    await projected(gateway, attempted)
    done = BackupCompleted(**head, prefix=prefix, started_at=now(), seconds=1.0, archive=archive)
    await projected(gateway, done)


@pytest.fixture
async def scheduler(gateway: Gateway, platform: Platform) -> AsyncIterator[None]:
    """The part of the scheduler that opens archive keys."""
    state = ReadModelState(gateway.deps.read_model)
    orders = Orders(platform.bus, state, gateway.deps.vault, (RECIPIENT,))
    answering = Downloads(platform.bus, state, orders, THE_CLOCK)
    working = asyncio.create_task(
        platform.bus.work(DURABLE, EVENTS, REQUESTS, answering.on_requested)
    )
    yield
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


async def asked(gateway: Gateway, backup: UUID, *, decrypt: bool = False) -> str:
    """Ask for a download; the link, below /api/v1."""
    answer = await gateway.call("POST", f"/backups/{backup}/download", {"decrypt": decrypt})
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == answer.json()["href"]
    return str(answer.json()["href"]).removeprefix("/api/v1")


async def followed(gateway: Gateway, platform: Platform, link: str) -> httpx.Response:
    """Follow the link as soon as it leads to bytes."""

    async def ready() -> httpx.Response | None:
        await signed(platform)
        answer = await gateway.call("GET", link)
        if answer.status_code == 202:
            return None
        if "?" in link:  # only asked whether it is ready: it stays unused
            assert (answer.status_code, answer.content) == (204, b"")
            return await gateway.call("GET", link.partition("?")[0])
        return answer

    return await eventually(ready, what="the download is ready")


async def test_the_encrypted_archive_comes_as_a_tar_that_opens_again(
    gateway: Gateway, platform: Platform, backup: UUID, tmp_path: Path
) -> None:
    link = await asked(gateway, backup)

    early = await gateway.call("GET", link)
    answer = await followed(gateway, platform, f"{link}?ready=true")

    assert (early.status_code, early.headers["retry-after"]) == (202, "1")
    assert answer.headers["content-type"] == "application/x-tar"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["content-disposition"].endswith('.tar"')
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
        assert tar.getnames()[-1] == f"{backup}/1/manifest"
        for member in tar.getmembers():
            content = tar.extractfile(member)
            assert content is not None
            path = tmp_path / "taken" / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.read())
    assert await read(local(tmp_path / "taken"), f"{backup}/1") == RAW


@pytest.mark.usefixtures("scheduler")
async def test_the_dump_comes_in_clear_to_who_may_decrypt_and_its_key_is_nowhere(
    gateway: Gateway, platform: Platform, backup: UUID
) -> None:
    link = await asked(gateway, backup, decrypt=True)

    answer = await followed(gateway, platform, f"{link}?ready=true")

    assert answer.content == RAW
    assert int(answer.headers["content-length"]) == len(RAW)
    granted = await said(platform, BackupDownloadGranted)
    assert len(granted) == 1
    bucket = platform.bus.kv("idempotency")
    kept = [(await bucket.get(key)) for key in await bucket.keys("download.")]
    assert [entry.value for entry in kept if entry] == [b"used"]


async def test_a_link_works_once_for_one_account_and_cannot_be_guessed_abuse_case_17(
    gateway: Gateway, platform: Platform, backup: UUID
) -> None:
    """abuse case 17: reused, shared, guessed, too old: the answer is always the same."""
    link = await asked(gateway, backup)
    other_object = await asked(gateway, backup)
    token = link.rsplit("/", 1)[1]
    await signed(platform)
    mine = gateway.client.headers["authorization"]

    await sign_in_as(gateway, Role.OPERATOR)
    shared = await gateway.call("GET", link)
    gateway.client.headers.pop("authorization")
    anonymous = await gateway.call("GET", link)
    gateway.client.headers["authorization"] = mine
    guesses = [
        await gateway.call("GET", f"/downloads/{guess}")
        for guess in (token[:-1] + ("A" if token[-1] != "A" else "B"), "A" * 43, "x", "*", "a.>")
    ]
    answers = await asyncio.gather(*(gateway.call("GET", link) for _ in range(5)))
    again = await gateway.call("GET", link)

    refused = [shared, *guesses, again]
    assert {answer.status_code for answer in refused} == {404}
    assert {answer.json()["code"] for answer in refused} == {"download.gone"}
    assert anonymous.status_code == 401
    assert sorted(answer.status_code for answer in answers) == [200, 404, 404, 404, 404]
    assert len(await said(platform, BackupDownloaded)) == 1
    assert len(token) == 43
    stored = [one.data for one in platform.server.stream("KV_idempotency").messages]
    log = [one.data for one in platform.server.stream(EVENTS).messages]
    assert not [data for data in stored + log if token.encode() in data]
    late = Links(platform.bus.kv("idempotency"), gateway.deps.secret, lambda: now() + LIVES + LIVES)
    me = (await gateway.call("GET", "/auth/me")).json()["id"]
    assert await late.find(other_object.rsplit("/", 1)[1], me) is None
    assert timedelta(minutes=5) == LIVES


async def test_download_and_decrypt_are_two_rights(
    gateway: Gateway, platform: Platform, backup: UUID
) -> None:
    await sign_in_as(gateway, Role.OPERATOR)
    encrypted = await gateway.call("POST", f"/backups/{backup}/download", {})
    decrypted = await gateway.call("POST", f"/backups/{backup}/download", {"decrypt": True})
    await sign_in_as(gateway, Role.VIEWER)
    viewer = await gateway.call("POST", f"/backups/{backup}/download", {})

    codes = [answer.status_code for answer in (encrypted, decrypted, viewer)]
    assert codes == [202, 403, 403]


@pytest.mark.usefixtures("scheduler")
async def test_what_cannot_be_opened_is_refused_and_the_link_says_why(
    gateway: Gateway, platform: Platform, backup: UUID, tmp_path: Path
) -> None:
    for envelope in (tmp_path / "store" / str(backup) / "1").glob("envelope.*"):
        envelope.unlink()
    link = await asked(gateway, backup, decrypt=True)

    answer = await followed(gateway, platform, link)

    assert answer.status_code == 409
    assert answer.json()["code"] == "download.refused"


async def test_a_damaged_archive_breaks_off_and_the_log_says_so(
    gateway: Gateway, platform: Platform, backup: UUID, tmp_path: Path
) -> None:
    data = tmp_path / "store" / str(backup) / "1" / "data.0"
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.chmod(0o600)
    data.write_bytes(content)
    link = await asked(gateway, backup)

    answer = await followed(gateway, platform, link)

    assert len(answer.content) < int(answer.headers["content-length"])
    (failed,) = await said(platform, BackupDownloadFailed)
    assert failed.problem.code.startswith("archive.")


async def said(platform: Platform, kind: type[Any]) -> list[Any]:
    messages = [one.message for one in platform.server.stream(EVENTS).messages]
    return [message for message in messages if isinstance(message, kind)]


@pytest.mark.usefixtures("scheduler")
@pytest.mark.parametrize("decrypt", [False, True])
async def test_when_the_first_archive_is_gone_or_damaged_a_good_copy_is_given_out(
    gateway: Gateway, platform: Platform, backup: UUID, tmp_path: Path, decrypt: bool
) -> None:
    far = await gateway.add_store(tmp_path / "far")
    shutil.copytree(tmp_path / "store" / str(backup), tmp_path / "far" / str(backup))
    copy: dict[str, Any] = {
        "archive_id": archive_id(backup, far["id"]),
        "backup_id": backup,
        "store_id": far["id"],
    }
    await projected(gateway, ArchiveRequested(**copy))
    prefix = f"{backup}/1"
    await projected(gateway, ArchiveReplicated(**copy, prefix=prefix, stored_bytes=1, seconds=0.1))
    if decrypt:
        problem = Problem(code="archive.truncated", cause="an object is missing")
        await projected(gateway, BackupCorrupted(backup_id=backup, problem=problem))
    else:
        await projected(gateway, BackupExpired(backup_id=backup, reason="a policy"))
    shutil.rmtree(tmp_path / "store" / str(backup))

    answer = await followed(gateway, platform, await asked(gateway, backup, decrypt=decrypt))

    if decrypt:
        assert answer.content == RAW
    else:
        with tarfile.open(fileobj=io.BytesIO(answer.content)) as tar:
            assert tar.getnames()[-1] == f"{prefix}/manifest"
    await projected(gateway, ArchiveExpired(**copy, reason="a policy"))
    if not decrypt:
        gone = await gateway.call("POST", f"/backups/{backup}/download", {"decrypt": False})
        assert gone.json()["code"] == "backup.not_downloadable"


@pytest.mark.usefixtures("scheduler")
async def test_a_damaged_envelope_makes_the_archive_corrupt_and_a_good_copy_is_read(
    gateway: Gateway, platform: Platform, backup: UUID, tmp_path: Path
) -> None:
    far = await gateway.add_store(tmp_path / "far")
    shutil.copytree(tmp_path / "store" / str(backup), tmp_path / "far" / str(backup))
    copy: dict[str, Any] = {
        "archive_id": archive_id(backup, far["id"]),
        "backup_id": backup,
        "store_id": far["id"],
    }
    await projected(gateway, ArchiveRequested(**copy))
    prefix = f"{backup}/1"
    await projected(gateway, ArchiveReplicated(**copy, prefix=prefix, stored_bytes=1, seconds=0.1))
    envelope = tmp_path / "store" / prefix / "envelope.1"
    envelope.chmod(0o600)
    envelope.write_bytes(envelope.read_bytes().replace(b'"sealed":"', b'"sealed":"00', 1))

    answer = await followed(gateway, platform, await asked(gateway, backup, decrypt=True))

    assert answer.content == RAW
    [said] = await platform.bus.last_of(f"evt.backup.corrupted.core.{backup}")
    assert isinstance(said.message, BackupCorrupted)
    assert said.message.deep
    assert said.message.problem.code == "archive.envelope_tampered"
