"""The executor's settings, read once from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from services.executor.runners.base import Workplace
from services.executor.runners.folders import default_folder
from shared.messages.base import CORE, Key

_Few = Annotated[int, Meta(ge=1, le=64)]


class ExecutorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One worker process of a pool.

    `worker_key_file`, `worker_signing_file`, `worker_certificate_file`: the pool's keys (see
    `shared.keys.files`). `work_folder`: where private files of runs live while they run (default:
    in memory). `tool_folders`: where client tools are looked for first, divided by `:`.
    `run_lease_s`: how long a dead worker's run waits at least before another one takes it.
    """

    worker_key_file: str
    worker_signing_file: str
    worker_certificate_file: str
    pool: Key = CORE
    parallel_backups: _Few = 2
    parallel_restores: _Few = 1
    parallel_questions: _Few = 4
    pack_threads: _Few = 2
    attempt_limit: _Few = 5
    run_lease_s: Annotated[float, Meta(gt=0)] = 10.0
    work_folder: str = ""
    tool_folders: str = ""

    @property
    def workplace(self) -> Workplace:
        return Workplace(
            folder=Path(self.work_folder) if self.work_folder else default_folder(),
            tool_folders=tuple(Path(one) for one in self.tool_folders.split(":") if one),
        )
