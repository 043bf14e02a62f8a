"""Test restores by a real executor: what is said about the sandbox of the instance."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from services.executor.engines.sandbox import LIMITS, NO_NETWORK, OWN_USER
from shared.bus.base import LOGS
from shared.bus.memory import MemoryBus
from shared.messages.facts import RestoreCompleted
from shared.messages.output import OutputLine
from tests.integration.executor.world import World
from tests.support.redis import redis_server
from tests.support.waiting import eventually


async def test_what_the_sandbox_lacks_on_this_machine_is_a_warning_in_the_runs_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here without any of the programs that make one."""
    bus = MemoryBus()
    world = World(bus, tmp_path / "world")

    def warnings() -> list[str]:
        said = [one.message for one in bus.server.stream(LOGS).after(0)]
        lines = [one for one in said if isinstance(one, OutputLine) and one.level == "warning"]
        return [one.text for one in lines if "less apart" in one.text]

    with redis_server(tmp_path / "redis") as server:
        given = {"kind": "redis", "host": "127.0.0.1", "port": server.port}
        engine = {**given, "password": server.password, "tls": "off"}
        for name in ("sh", "redis-server"):
            (tmp_path / name).symlink_to(shutil.which(name) or "")
        monkeypatch.setenv("PATH", str(tmp_path))
        async with world.executor():
            backup = await world.backup(engine, "all")
            order = await world.restore_order(
                engine, "all", backup, test=True, server_version="7.0"
            )
            await bus.append(order)
            ended = await world.ending(order)
            (line,) = await eventually(warnings)

    assert isinstance(ended, RestoreCompleted), ended
    assert all(one in line for one in (OWN_USER, NO_NETWORK, LIMITS))
