"""Wiring of the executor."""

from __future__ import annotations

import os
from pathlib import Path

from services.executor.service import Executor, WorkerKeys
from services.executor.settings import ExecutorSettings
from shared.bus import Bus
from shared.faults import kill_points
from shared.keys.reading import read_identity, read_order_key
from shared.serving import replica_name, serve
from shared.settings import load


async def work(bus: Bus) -> None:
    settings = load(ExecutorSettings, os.environ)
    keys = WorkerKeys(
        order_key=read_order_key(Path(settings.worker_key_file)),
        identity=read_identity(
            Path(settings.worker_signing_file), Path(settings.worker_certificate_file)
        ),
    )
    executor = Executor(bus, settings, keys, name=replica_name(), point=kill_points(os.environ))
    await executor.listen()


if __name__ == "__main__":
    serve("executor", work, ExecutorSettings)
