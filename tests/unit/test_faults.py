"""Kill-points are real where a test asks for them, and nothing anywhere else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shared.faults import kill_points, no_point

SCRIPT = """
import asyncio, os
from shared.faults import kill_points
async def main():
    point = kill_points(os.environ)
    await point("other")
    print("before", flush=True)
    await point("here")
    print("after", flush=True)
asyncio.run(main())
"""


def run(environment: dict[str, str]) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


def test_a_process_dies_at_its_point_once_and_the_mark_proves_it(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    asked = {"HOLDFAST_FAULTS": "1", "KILL_POINT": "here", "KILL_POINT_MARK": str(mark)}
    asked["PYTHONPATH"] = "."

    assert run(asked) == (-9, "before\n")
    assert mark.exists()
    assert run(asked) == (0, "before\nafter\n")


@pytest.mark.parametrize("environment", [{}, {"KILL_POINT": "here"}, {"HOLDFAST_FAULTS": "1"}])
def test_nothing_happens_unless_faults_are_allowed(environment: dict[str, str]) -> None:
    assert kill_points(environment) is no_point
