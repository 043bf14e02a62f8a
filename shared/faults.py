"""Named kill-points: where a test can end or freeze this process, to prove it may happen there."""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec

Point: TypeAlias = Callable[[str], Awaitable[None]]

_FREEZE = "stop:"


class KillPoint(msgspec.Struct, frozen=True):
    """Sends itself SIGKILL (or SIGSTOP) at one point, once: the mark file proves it, and keeps
    the next process, which finds it, from dying there too."""

    name: str
    mark: Path
    number: signal.Signals

    async def reached(self, name: str) -> None:
        if name != self.name:
            return
        try:
            self.mark.touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), self.number)


def kill_points(environment: Mapping[str, str]) -> Point:
    """`KILL_POINT=<name>` or `stop:<name>` with `KILL_POINT_MARK=<path>`, in a process that was
    started with `HOLDFAST_FAULTS=1`; anywhere else nothing happens at any point."""
    wanted = environment.get("KILL_POINT", "")
    if environment.get("HOLDFAST_FAULTS") != "1" or not wanted:
        return no_point
    number = signal.SIGSTOP if wanted.startswith(_FREEZE) else signal.SIGKILL
    mark = Path(environment["KILL_POINT_MARK"])
    return KillPoint(wanted.removeprefix(_FREEZE), mark, number).reached


async def no_point(_name: str) -> None:
    """The default: nothing happens at a kill-point."""
