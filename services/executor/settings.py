"""The executor's settings, read once from the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from services.executor.runners.base import Workplace
from services.executor.runners.folders import default_folder, default_test_folder
from shared.messages.base import CORE, Key

_Few = Annotated[int, Meta(ge=1, le=64)]


class ExecutorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One worker process of a pool.

    `worker_key_file`, `worker_signing_file`, `worker_certificate_file`: the pool's keys (see
    `shared.keys.files`). `work_folder`: where private files of runs live while they run (default:
    in memory). `test_folder`: where restore tests put their throw-away instances (default: below
    the system's folder for temporary files). `tool_folders`: where client tools are looked for
    first, divided by `:`. `allow_loopback`: whether databases and stores may be on this very
    machine. `run_lease_s`: how long a dead worker's run waits at least before another one takes it.
    `verify_bytes_per_s`: how fast deep verifications read, in bytes of the dump (0: as fast as it
    goes). `memory_mb`: what the runs of this process may take together; one that finds no room
    waits.
    """

    worker_key_file: str
    worker_signing_file: str
    worker_certificate_file: str
    pool: Key = CORE
    parallel_backups: _Few = 2
    parallel_restores: _Few = 1
    parallel_questions: _Few = 4
    parallel_verifications: _Few = 1
    verify_bytes_per_s: Annotated[float, Meta(ge=0)] = 32 * 1024.0 * 1024.0
    pack_threads: _Few = 2
    memory_mb: Annotated[int, Meta(ge=64)] = 1024
    attempt_limit: _Few = 5
    run_lease_s: Annotated[float, Meta(gt=0)] = 10.0
    work_folder: str = ""
    test_folder: str = ""
    tool_folders: str = ""
    allow_loopback: bool = False

    @property
    def workplace(self) -> Workplace:
        return Workplace(
            folder=Path(self.work_folder) if self.work_folder else default_folder(),
            test_folder=Path(self.test_folder) if self.test_folder else default_test_folder(),
            tool_folders=tuple(Path(one) for one in self.tool_folders.split(":") if one),
            allow_loopback=self.allow_loopback,
        )
