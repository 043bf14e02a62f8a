"""Writes key files: whole or not at all, readable by the owner only, never over another."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from shared.keys.reading import KeyFileError


def private_folder(path: Path) -> None:
    """Make the folder (0700) where it is missing; raises KeyFileError when others may enter it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
        sync_folder(path.parent)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise KeyFileError(
            f"other users may enter the key folder {path.name}", fix=f"chmod 700 {path}"
        )


def create(path: Path, content: bytes) -> bool:
    """Make the file (0400), durably; False, and nothing changes, where one lies already.

    The content is complete before the name exists, so a crash leaves no half key behind.
    """
    if path.exists():
        return False
    try:
        return _create(path, content)
    except OSError as error:
        raise KeyFileError(
            f"the key file {path.name} cannot be written: {error.strerror}",
            fix="put the key folder on a local disk with free space",
        ) from error


def replace(path: Path, content: bytes) -> None:
    """Put `content` (0400) in the place of the file, durably: always the old one or the new one."""
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        create(unfinished, content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
        sync_folder(path.parent)


def _create(path: Path, content: bytes) -> bool:
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(unfinished)
            return True
        return False
    finally:
        unfinished.unlink()
        sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make the names in the folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
