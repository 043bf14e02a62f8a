"""What a soak run leaves behind: one JSON file that says what was run, and what came of it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.launcher.nats_server import binary
from services.launcher.postgres import bin_directory

ROOT = Path(__file__).resolve().parents[2]
OWN_EVIDENCE = "tests/chaos/"


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


def write(name: str, command: str, began: datetime, **found: Any) -> None:
    """Write `docs/evidence/<name>.json`: what was found, by which command, of which versions."""
    record = {
        "name": name,
        **found,
        "command": command,
        "versions": versions(),
        "started": began.isoformat(timespec="seconds").replace("+00:00", "Z"),
        "seconds": round((datetime.now(UTC) - began).total_seconds(), 1),
    }
    folder = ROOT / "docs" / "evidence"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")


class Evidence:
    """The record of one soak of faults. `counts` and `failures` are filled in by the test."""

    def __init__(self, name: str, seed: int, rounds: int, test: str) -> None:
        self._name, self._seed, self._began = name, seed, datetime.now(UTC)
        self._command = f"CHAOS_SEED={seed} CHAOS_ROUNDS={rounds} make soak ARGS='{test}'"
        self.counts: dict[str, int] = {}
        self.failures: list[str] = []

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number

    def write(self) -> None:
        """Write the file, whether it went well or not."""
        found = {"seed": self._seed, "counts": self.counts, "failures": self.failures}
        write(self._name, self._command, self._began, **found)


class Suites:
    """A pytest plug-in: evidence of each file of a soak whose tests keep none themselves."""

    def __init__(self) -> None:
        self._began = datetime.now(UTC)
        self._counts: dict[str, Counter[str]] = {}
        self._failures: dict[str, list[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        file, _, test = report.nodeid.partition("::")
        if file.startswith(OWN_EVIDENCE):
            return
        if report.failed:
            self._failures.setdefault(file, []).append(test)
        elif report.when == "call" and report.passed:
            counts = self._counts.setdefault(file, Counter())
            counts[test.partition("[")[0]] += 1
            for name, number in report.user_properties:
                counts[name] += int(str(number))

    def pytest_sessionfinish(self) -> None:
        for file in sorted({*self._counts, *self._failures}):
            name = file.removeprefix("tests/").removesuffix(".py").replace("test_", "")
            found = {
                "counts": dict(self._counts.get(file, {})),
                "failures": self._failures.get(file, []),
            }
            write(name.replace("/", "-"), f"make soak ARGS={file}", self._began, **found)
