"""Executors of a running platform that die or freeze at one point of their work."""

from __future__ import annotations

import signal
from pathlib import Path

import msgspec

from services.launcher.processes import Child
from tests.support.platform import Installed


class Victim:
    """One executor process; `mark` exists once its point was reached."""

    def __init__(self, house: Installed, fault: str, mark: Path) -> None:
        self.fault, self.mark = fault, mark
        own = {
            "HOLDFAST_FAULTS": "1",
            "KILL_POINT": fault,
            "KILL_POINT_MARK": str(mark),
            "PARALLEL_BACKUPS": "1",
        }
        self.child = executor(house, f"victim-{mark.name}", own)

    @property
    def hit(self) -> bool:
        return self.mark.exists()

    @property
    def killed(self) -> bool:
        """Whether it died at its point, by the signal that it sent itself."""
        return self.hit and self.child.exit_status == -signal.SIGKILL


def executor(house: Installed, name: str, own: dict[str, str] | None = None) -> Child:
    """One more executor of the platform's own pool; `own` replaces what is in its environment."""
    command = house.platform.installation.command("executor")
    return Child(
        msgspec.structs.replace(
            command,
            name=name,
            environment={**command.environment, **(own or {})},
            log=house.home.log(name),
        )
    )
