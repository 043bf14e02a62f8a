"""Downloading a backup into a file."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from services.cli.client import Client, connected
from services.cli.errors import BadArgumentError
from services.cli.output import note, size

LOOK_EVERY_S = 0.5
Decrypt = Annotated[
    bool, Parameter(negative="", help="The dump itself; needs the right backups.decrypt")
]


async def download(backup_id: str, file: Path, *, decrypt: Decrypt = False) -> None:
    """Download the encrypted archive of a backup as a tar, or its dump in clear.

    The file is readable by you only, and it is there only once it is whole.
    """
    _refuse_existing(file)
    part = file.with_name(f".{file.name}.part")
    try:
        async with connected() as client:
            body = {"decrypt": decrypt}
            link = await client.post(f"/backups/{backup_id}/download", body)
            count = await _taken(client, str(link["href"]).removeprefix("/api/v1"), part)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    note(f"{size(count)} written to {file}.")


def _refuse_existing(file: Path) -> None:
    if file.exists():
        raise BadArgumentError(f"{file} exists already", fix="name another file")


async def _taken(client: Client, link: str, part: Path) -> int:
    """The bytes behind the link, as soon as a checkpoint covers the request for them."""
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        while (count := await client.save(link, out)) is None:
            await asyncio.sleep(LOOK_EVERY_S)
        await asyncio.to_thread(_synced, out)
    return count


def _synced(out: Any) -> None:
    out.flush()
    os.fsync(out.fileno())
