"""What is acknowledged is on the disk: the running server's setting, and its system calls."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import urllib.request
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from services.launcher.ports import free_port
from shared.bus.bootstrap import bootstrap
from shared.bus.configuration import render_config
from shared.bus.jetstream import BusSettings, connect
from shared.messages.facts import BackupExpired
from tests.support.nats import Nats, nats_server

APPENDS = 20
_SYNC = re.compile(r"^\d+ +f(?:data)?sync\(", re.MULTILINE)


def config(directory: Path, monitor: int) -> str:
    """The platform's own configuration, with monitoring, where the test's server is."""
    users = {"bootstrap": "p1", "retention": "p2"}
    rendered = render_config(port=0, store_dir=directory / "store", passwords=users)
    _, _, rest = rendered.partition("max_payload:")
    head = f'http: "127.0.0.1:{monitor}"\nNATS_STORE_DIR: "{directory / "store"}"\n'
    return f"{head}max_payload:{rest}"


def settings(server: Nats, user: str, password: str) -> BusSettings:
    return BusSettings(nats_url=server.url, nats_user=user, nats_password=password)


async def test_the_running_server_syncs_each_write(tmp_path: Path) -> None:
    monitor = free_port()
    with nats_server(tmp_path, config(tmp_path, monitor)):
        address = f"http://127.0.0.1:{monitor}/jsz?config=1"
        answer = await asyncio.to_thread(lambda: urllib.request.urlopen(address).read())
        assert msgspec.json.decode(answer)["config"]["sync_always"] is True


async def test_events_are_kept_for_ever_and_cannot_be_removed(tmp_path: Path) -> None:
    monitor = free_port()
    with nats_server(tmp_path, config(tmp_path, monitor)) as server:
        await bootstrap(settings(server, "bootstrap", "p1"))
        address = f"http://127.0.0.1:{monitor}/jsz?streams=1&config=1&accounts=1"
        answer = await asyncio.to_thread(lambda: urllib.request.urlopen(address).read())
    accounts = msgspec.json.decode(answer)["account_details"]
    streams = {one["name"]: one["config"] for a in accounts for one in a.get("stream_detail", [])}
    events = streams["EVENTS"]
    limits = ("max_msgs", "max_bytes", "max_age", "max_msgs_per_subject")
    assert {events[name] for name in limits} <= {0, -1}
    assert (events["storage"], events["deny_delete"], events["deny_purge"]) == ("file", True, True)
    assert events.get("persist_mode", "default") == "default"
    assert events["allow_atomic"] is True


@pytest.mark.needs("strace")
async def test_the_server_syncs_before_each_acknowledgement(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    with nats_server(tmp_path, config(tmp_path, free_port())) as server:
        await bootstrap(settings(server, "bootstrap", "p1"))
        watching = await asyncio.create_subprocess_exec(
            *("strace", "-f", "-e", "trace=fsync,fdatasync", "-o", str(trace)),
            *("-p", str(server.pid)),
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            assert watching.stderr is not None
            attached = await asyncio.wait_for(watching.stderr.readline(), 10)
            if b"ermitted" in attached:
                pytest.skip("strace may not attach to a process here")
            await asyncio.sleep(0.3)
            before = len(_SYNC.findall(trace.read_text()))
            user = settings(server, "retention", "p2")
            async with connect(user, source="retention", gate=False) as bus:
                for number in range(1, APPENDS + 1):
                    await bus.append(BackupExpired(backup_id=uuid4(), reason="keep_last"))
                    await asyncio.sleep(0.02)  # strace writes its line a little later
                    assert len(_SYNC.findall(trace.read_text())) - before >= number
        finally:
            os.kill(watching.pid, signal.SIGINT)
            await watching.wait()
