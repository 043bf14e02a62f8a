"""Abuse case 37: what is installed is what was locked, byte for byte."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ["requirements.lock", "requirements-dev.lock"]
WHEEL = "tampered-1.0-py3-none-any.whl"


def requirements(lock: str) -> list[str]:
    """Each requirement with its hashes, on one line."""
    joined = (ROOT / lock).read_text().replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("lock", LOCKS)
def test_everything_that_is_installed_is_pinned_and_hashed(lock: str) -> None:
    loose = [
        line
        for line in requirements(lock)
        if not re.match(r"^[A-Za-z0-9._-]+(\[[a-z0-9,-]+\])?==\S+", line)
        or "--hash=sha256:" not in line
    ]

    assert requirements(lock)
    assert loose == []


def test_every_installation_from_a_lock_requires_the_hashes() -> None:
    text = (ROOT / ".ci/setup").read_text().replace("\\\n", " ")
    installing = [line for line in text.splitlines() if re.search(r"-r \S*\.lock", line)]

    assert installing
    assert [line for line in installing if "--require-hashes" not in line] == []


def test_a_wheel_that_was_changed_after_it_was_locked_is_not_installed(tmp_path: Path) -> None:
    wheel = tmp_path / WHEEL
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tampered.py", "")
        about = "Metadata-Version: 2.1\nName: tampered\nVersion: 1.0\n"
        archive.writestr("tampered-1.0.dist-info/METADATA", about)
        archive.writestr(
            "tampered-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("tampered-1.0.dist-info/RECORD", "")
    right = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert installed(tmp_path, right).returncode == 0

    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("backdoor.py", "")
    refused = installed(tmp_path, right)

    assert refused.returncode != 0
    assert "hash" in refused.stderr.lower()


def installed(folder: Path, sha256: str) -> subprocess.CompletedProcess[str]:
    """As `.ci/setup` does it, into a folder of its own and without any network."""
    lock = folder / "one.lock"
    lock.write_text(f"tampered==1.0 --hash=sha256:{sha256}\n")
    return subprocess.run(
        [
            *(uv(), "pip", "install", "--quiet", "--require-hashes", "--no-cache", "--offline"),
            *("--no-index", "--find-links", str(folder), "--reinstall"),
            *("--target", str(folder / "there"), "-r", str(lock)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def uv() -> str:
    """The uv that the setup uses."""
    return shutil.which("uv") or str(ROOT / ".tools/bin/uv")
