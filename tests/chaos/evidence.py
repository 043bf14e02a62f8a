"""What a soak run leaves behind: one JSON file that says what was run, and what came of it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.launcher.nats_server import binary
from services.launcher.postgres import bin_directory

ROOT = Path(__file__).resolve().parents[2]


def said_by(*argv: str) -> str:
    """What a program prints."""
    return subprocess.run(argv, capture_output=True, text=True, check=True, cwd=ROOT).stdout.strip()


def versions() -> dict[str, str]:
    """Of what the figures are about."""
    changed = said_by("git", "status", "--porcelain", "--", "services", "shared", "nats")
    return {
        "commit": said_by("git", "rev-parse", "HEAD") + (" and changes" if changed else ""),
        "python": platform.python_version(),
        "nats_server": said_by(str(binary()), "--version"),
        "postgres": said_by(str(bin_directory(18) / "postgres"), "--version"),
        "customer": said_by(str(bin_directory(16) / "postgres"), "--version"),
        "kernel": platform.release(),
        "processors": str(os.cpu_count()),
    }


class Evidence:
    """The record of one soak. `counts` and `failures` are filled in by the test."""

    def __init__(self, name: str, seed: int, rounds: int, test: str) -> None:
        self._name, self._seed = name, seed
        self._command = f"CHAOS_SEED={seed} CHAOS_ROUNDS={rounds} make soak ARGS='{test}'"
        self._started, self._began = datetime.now(UTC), time.monotonic()
        self.counts: dict[str, int] = {}
        self.failures: list[str] = []

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number

    def write(self) -> None:
        """Write `docs/evidence/<name>.json`, whether it went well or not."""
        record: dict[str, Any] = {
            "name": self._name,
            "seed": self._seed,
            "command": self._command,
            "versions": versions(),
            "counts": self.counts,
            "failures": self.failures,
            "started": self._started.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "seconds": round(time.monotonic() - self._began, 1),
        }
        folder = ROOT / "docs" / "evidence"
        folder.mkdir(exist_ok=True)
        (folder / f"{self._name}.json").write_text(json.dumps(record, indent=2) + "\n")
