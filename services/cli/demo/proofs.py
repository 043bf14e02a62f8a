"""The proofs that need no platform: tampering is refused, and an archive opens by itself."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from services.cli.demo.compare import Postgres
from shared.audit.note import NoteError
from shared.audit.verify import AuditRefusedError, Verified, verify_audit

SCRIPT = Path(__file__).resolve().parents[3] / "recover" / "holdfast-recover.py"


class Recovery(msgspec.Struct, frozen=True):
    """The recovery script with what a person would have: a key file and a fingerprint."""

    key: Path
    fingerprint: str

    def verify(self, archive: Path) -> bool:
        """Whether the script accepts every byte of the archive; this needs no key."""
        return self._accepts("verify", str(archive))

    def decrypt(self, archive: Path, to: Path) -> bool:
        """Write the dump to a file; False when the script refuses."""
        return self._accepts(
            "decrypt", str(archive), "--key-file", str(self.key), "--output", str(to)
        )

    def _accepts(self, *words: str) -> bool:
        argv = [sys.executable, str(SCRIPT), *words, "--trust", self.fingerprint]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def with_one_bit_flipped(archive: Path, folder: Path) -> Path:
    """A copy of the archive below `folder`, with one bit of its data changed in the middle."""
    copy = folder / archive.parent.name / archive.name
    shutil.copytree(archive, copy)
    volume = copy / "data.0"
    volume.chmod(0o600)
    with volume.open("r+b") as file:
        file.seek(volume.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, 1)
        file.write(bytes([byte ^ 1]))
    return copy


def with_one_line_edited(export: Path, copy: Path, hidden: str = "restore.requested") -> Path:
    """A copy of an audit export in which somebody hides that this was done."""
    text = export.read_text()
    lines = text.splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if hidden in line)
    lines[at] = lines[at].replace(hidden, "backup.requested")
    copy.write_text("".join(lines))
    return copy


def verified(export: Path, public_key: bytes) -> Verified | None:
    """What the export proves, or None when it is refused."""
    try:
        return verify_audit(export, public_key)
    except (AuditRefusedError, NoteError):
        return None


async def restore_by_hand(dump: Path, target: Postgres) -> bool:
    """`pg_restore` of a decrypted dump into a new database, as somebody without us would."""
    admin = await msgspec.structs.replace(target, database="postgres").connect()
    try:
        await admin.execute(f'CREATE DATABASE "{target.database}"')
    finally:
        await admin.close()
    process = await asyncio.create_subprocess_exec(
        str(target.tools / "pg_restore"),
        *("--exit-on-error", f"--host={target.host}", f"--port={target.port}", "--no-password"),
        *(f"--username={target.user}", f"--dbname={target.database}", str(dump)),
        env={"PGPASSWORD": target.password, "PGSSLMODE": "disable"},
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await process.wait() == 0
