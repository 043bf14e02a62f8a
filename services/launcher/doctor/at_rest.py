"""What can be seen of an installation whether it runs or not: files, keys, space, tools."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from services.launcher.directory import DataDirectory
from services.launcher.doctor.findings import Finding, bad, doubtful, well
from shared.errors import PlatformError
from shared.keys.files import KeyFolder
from shared.keys.reading import read_identity, read_key_encryption_keys, read_signing_key
from shared.keys.secret_keys import secret_keys
from shared.keys.vault import key_faults

ENOUGH_BYTES, NEARLY_NONE_BYTES = 5 << 30, 1 << 30
TOOLS = Path("/usr/lib/postgresql")


def directory(home: DataDirectory) -> Finding:
    """The data directory: there, and nobody else's."""
    about = "data directory"
    if not home.root.is_dir():
        fix = "start it with `holdfast up`, or set HOLDFAST_HOME to where it is"
        return bad(about, f"{home.root} does not exist", fix)
    if open_to_others(home.root):
        return bad(about, f"{home.root} is open to others", f"chmod 700 {home.root}")
    if strange := stranger(home.root):
        return bad(about, f"{home.root} belongs to {strange}", f"chown it to {os.geteuid()}")
    return well(about, str(home.root))


def keys(folder: KeyFolder) -> Iterator[Finding]:
    """Every key: there, readable by its owner alone, and a key."""
    for name, path, check in _keys(folder):
        yield _key(name, path, check)
    yield _passwords(folder.folder / "passwords")
    if folder.recovery_key.exists():
        yield doubtful(
            "recovery key",
            "it still lies on this machine, where a thief would find it",
            "print `holdfast recovery-sheet`, then remove it with its option --forget",
        )


def _keys(folder: KeyFolder) -> Iterator[tuple[str, Path, Callable[[Path], object]]]:
    yield "encryption key", folder.encryption_key, _fernet
    yield "secret key", folder.secret_key, lambda path: secret_keys(path.read_text())
    yield "key-encryption key", folder.kek, read_key_encryption_keys
    yield "audit key", folder.audit_key, read_signing_key
    yield "worker's signing key", folder.signing_key, read_signing_key
    yield "worker's order key", folder.order_key, Path.read_bytes
    yield "worker's certificate", folder.certificate, lambda _: _identity(folder)
    yield "recovery recipient", folder.recovery_recipient, Path.read_bytes


def _key(name: str, path: Path, check: Callable[[Path], object]) -> Finding:
    restore = "make it again from the recovery sheet: `holdfast recovery-sheet --restore FILE`"
    if not path.is_file():
        return bad(name, f"{path} is missing", restore)
    if open_to_others(path):
        return bad(name, f"{path} can be read by others", f"chmod 400 {path}")
    if strange := stranger(path):
        return bad(name, f"{path} belongs to {strange}", f"chown {os.geteuid()} {path}")
    try:
        check(path)
    except (PlatformError, ValueError, OSError):  # what it says may hold some of the key
        return bad(name, f"{path} holds no key", restore)
    return well(name, "there, and a key")


def _identity(folder: KeyFolder) -> None:
    read_identity(folder.signing_key, folder.certificate)


def _passwords(folder: Path) -> Finding:
    """Those between our own parts; they are made at the first start."""
    files = sorted(folder.glob("*"))
    if shown := [path.name for path in files if open_to_others(path) or stranger(path)]:
        says = f"in the wrong hands: {', '.join(shown)}"
        fix = f"chmod 400 and chown {os.geteuid()} those files in {folder}"
        return bad("passwords", says, f"{fix}, then `holdfast key rotate --kind nats`")
    return well("passwords", f"{len(files)}, for their owner alone")


def _fernet(path: Path) -> None:
    if key_faults(path.read_text()):
        raise ValueError


def space(home: DataDirectory) -> Finding:
    """Room for the log, the read model, and archives in the folder of the first store."""
    free = shutil.disk_usage(home.root).free
    says = f"{free / (1 << 30):.1f} GiB free"
    fix = "free space there, or move the data directory to a larger disk"
    if free < NEARLY_NONE_BYTES:
        return bad("disk", says, fix)
    return doubtful("disk", says, fix) if free < ENOUGH_BYTES else well("disk", says)


def time_zones() -> Finding:
    """Schedules are in time zones."""
    try:
        ZoneInfo("Europe/Berlin")
    except ZoneInfoNotFoundError:
        return bad("time zones", "no time zone data", "apt install tzdata")
    return well("time zones", "known")


def tools() -> Finding:
    """Client tools of PostgreSQL, by major version; the wheels bring 16 and 18."""
    found = dump_majors()
    if not found:
        return bad("pg_dump", "none is installed", "apt install postgresql-client")
    return well("pg_dump", f"versions {', '.join(map(str, sorted(found)))}")


def dump_majors() -> set[int]:
    """The major versions of PostgreSQL that can be dumped from this machine."""
    from services.launcher.postgres import bin_directory

    found = {path.parent.parent.name for path in TOOLS.glob("*/bin/pg_dump")}
    bundled = {major for major in (16, 18) if (bin_directory(major) / "pg_dump").exists()}
    return {int(one) for one in found if one.isdecimal()} | bundled


def program(name: str) -> str | None:
    """Where a tool is, as the executor of this machine would look for it."""
    folders = [*os.environ.get("EXECUTOR_TOOL_FOLDERS", "").split(":"), *os.get_exec_path()]
    return shutil.which(name, path=":".join(one for one in folders if one))


def open_to_others(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


def stranger(path: Path) -> str:
    """Who owns it, where that is neither we nor root; else nothing."""
    owner = path.stat().st_uid
    return "" if owner in {os.geteuid(), 0} else f"user {owner}"
