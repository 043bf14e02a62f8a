"""`holdfast doctor` beside a running platform."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import msgspec
import pytest

from services.launcher.directory import DataDirectory
from services.launcher.doctor import Finding, Level, examined
from services.launcher.up import Platform, running
from shared.bus import Bus
from shared.bus.api import ask_api
from shared.bus.connection import Connection
from shared.bus.jetstream import connect
from shared.messages.base import now
from shared.messages.settings import ChannelSetting, ServerSetting, StoreSetting
from shared.messages.values import Endpoint
from shared.serving import Beat
from tests.support.certificates import certified
from tests.support.waiting import eventually
from tests.unit.auditor.events import attempted, backup_requested, completed

pytestmark = pytest.mark.timeout(300)
SERVER = UUID(int=7)


async def errors(home: DataDirectory) -> dict[str, str]:
    return {one.name: one.cause for one in await examined(home) if one.level is Level.FAIL}


async def test_a_running_platform_is_well_and_each_thing_that_is_broken_is_told(
    tmp_path: Path,
) -> None:
    home = DataDirectory(tmp_path / "home")
    async with running(home) as platform:

        async def well() -> bool:
            return await errors(home) == {}

        await eventually(well, within=60)
        notifier = platform.children["notifier"]
        os.kill(notifier.pid, signal.SIGSTOP)
        connection = Connection(platform.installation.bus_settings(), "test")
        async with connection.kept():
            link = await connection.link()
            stream = (await ask_api(link, "STREAM.INFO.LOGS", {}))["config"]
            await ask_api(link, "STREAM.UPDATE.LOGS", {**stream, "max_age": stream["max_age"] * 2})
        try:
            found = await errors(home)
        finally:
            os.kill(notifier.pid, signal.SIGCONT)
        widen(platform, "retention")
        user = await eventually_found(home, "NATS user retention")

    assert found == {
        "services": "not heard: notifier",
        "streams": "not as they should be: LOGS",
    }
    assert user.level is Level.FAIL
    assert "evt.>" in user.cause


def widen(platform: Platform, user: str) -> None:
    """Let a user hear everything: what a hand in the server's configuration might do."""
    config = platform.installation.home.nats / "server.conf"
    text = config.read_text()
    assert text.count(f'"_INBOX_{user}.>"') == 1
    config.write_text(text.replace(f'"_INBOX_{user}.>"', '">"'))
    assert platform._nats.child is not None
    platform._nats.child.send(signal.SIGHUP)


async def eventually_found(home: DataDirectory, name: str) -> Finding:
    """The finding of that name once it has failed."""
    found: list[Finding] = []

    async def failed() -> bool:
        found[:] = [one for one in await examined(home) if one.name == name]
        return bool(found) and found[0].level is Level.FAIL

    await eventually(failed, within=60)
    return found[0]


async def test_what_backups_need_and_lack_is_told_of_each_thing_by_its_name(
    tmp_path: Path,
) -> None:
    """No executor, nobody who reads again, a store that is none, one over its quota, and so on."""
    home = DataDirectory(tmp_path / "home")
    pem, context = certified(tmp_path)
    silent = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=context)
    port = silent.sockets[0].getsockname()[1]
    async with running(home, services=("auditor", "gateway")) as platform:
        installation = platform.installation
        async with connect(installation.bus_settings(), source="test") as bus:
            for setting in settings(tmp_path, pem, port):
                await bus.append(setting)
            await make_a_backup(bus)
            await bus.kv("beats").put(f"probe.core.{SERVER}", b'{"versions": {"main": "99.1"}}')
            beating = asyncio.create_task(beat_of_another_version(bus))
            await asyncio.sleep(1)
            found = {one.name: one for one in await examined(home)}
            said = await asyncio.to_thread(command_line, home)
            beating.cancel()
    silent.close()

    def level(name: str) -> Level:
        return found[name].level

    assert (
        "nobody listens for orders of: backup, restore, verification, server"
        in found["pool core"].cause
    )
    assert level("pool far") is Level.FAIL
    assert "scheduler" in found["services"].cause
    assert "retention 0.0.1" in found["versions"].cause
    assert level("versions") is Level.WARN
    assert found["versions of pg_dump"].fix == "apt install postgresql-client-99"
    assert level("store broken") is Level.FAIL
    assert level("store cellar") is Level.OK
    assert found["quota of cellar"].cause.startswith("3000 % of 10 bytes")
    assert level("quota of cellar") is Level.FAIL
    assert level("verification") is Level.WARN
    assert found["proof"].cause == "no backup is proven of: shop"
    assert level("channel nowhere") is Level.FAIL
    assert level("channel soon over") is Level.WARN  # the certificate has a day left
    assert "certificate" in found["channel stranger"].cause
    assert all(one.fix for one in found.values() if one.level is not Level.OK)
    assert all(word not in str(found) for word in ("hidden-path", "whsec_"))
    status, shown = said
    assert status == 1
    assert {one["level"] for one in shown} == {"ok", "warn", "fail"}
    assert {*shown[0]} == {"name", "level", "cause", "fix"}


def command_line(home: DataDirectory) -> tuple[int, list[dict[str, str]]]:
    done = subprocess.run(
        [Path(sys.executable).parent / "holdfast", "doctor", "--json"],
        env={**os.environ, "HOLDFAST_HOME": str(home.root)},
        capture_output=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


def settings(
    folder: Path, pem: str, port: int
) -> list[ServerSetting | StoreSetting | ChannelSetting]:
    file = folder / "a file"
    file.touch()
    (folder / "cellar").mkdir()
    engine = {"kind": "postgresql", "host": "127.0.0.1", "port": 5432, "user": "x"}
    slack = {"kind": "slack", "url": f"https://127.0.0.1:{port}/hidden-path"}
    known = [
        ("nowhere", {"kind": "slack", "url": "https://127.0.0.1:9/hidden-path"}),
        ("stranger", slack),
        ("soon over", slack | {"ca_certificate": pem}),
    ]
    return [
        ServerSetting(
            key=str(SERVER),
            name="one",
            runner={"kind": "local"},
            endpoints=[Endpoint(name="main", engine=engine)],
        ),
        ServerSetting(
            key=str(UUID(int=8)), name="two", pool="far", runner={"kind": "local"}, endpoints=[]
        ),
        StoreSetting(key="broken", name="broken", store={"kind": "local", "root": str(file)}),
        StoreSetting(
            key="store",
            name="cellar",
            quota_bytes=10,
            store={"kind": "local", "root": str(folder / "cellar")},
        ),
        *(
            ChannelSetting(key=f"c{number}", name=name, channel=channel)
            for number, (name, channel) in enumerate(known)
        ),
    ]


async def make_a_backup(bus: Bus) -> None:
    """Two days ago, and nobody has read it since."""
    request, before = backup_requested(), now() - timedelta(days=2)
    for fact in (request, attempted(request), completed(request)):
        appended = await bus.append(msgspec.structs.replace(fact, at=before))
    assert appended.seq


async def beat_of_another_version(bus: Bus) -> None:
    beat = Beat(service="retention", replica="old", pid=1, host="h", version="0.0.1")
    while True:
        await bus.kv("beats").put(f"service.retention.{uuid4().hex}", msgspec.json.encode(beat))
        await asyncio.sleep(0.5)
