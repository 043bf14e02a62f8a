"""The audit log: export it, and prove that nothing in it was changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from services.cli.client import connected
from services.cli.errors import BadArgumentError
from services.cli.output import Output, note, show_one
from services.launcher.directory import DataDirectory
from shared.audit.verify import verify_audit
from shared.keys.files import KeyFolder
from shared.keys.reading import read_signing_key

KeyHex = Annotated[
    str | None,
    Parameter(name="--key", help="The audit log's public key, 64 hex digits, as you wrote it down"),
]


async def export(
    file: Path,
    *,
    events: Annotated[bool, Parameter(help="Also the bytes the entries are about")] = False,
) -> None:
    """Write the whole audit log to a file."""
    query = {"events": "true"} if events else {}
    new, count = file.with_name(f".{file.name}.part"), 0
    try:
        async with connected() as client:
            with new.open("wb") as out:
                async for line in client.read("/audit/export", **query):
                    out.write(line)
                    count += 1
        new.replace(file)
    finally:
        new.unlink(missing_ok=True)
    note(f"{count} lines written to {file}.")


def verify(file: Path, *, key: KeyHex = None, output: Output = None) -> None:
    """Hash every entry of an export anew, offline, and compare with the signed checkpoints.

    Without --key the key of the installation on this machine is the one to trust.
    """
    try:
        verified = verify_audit(file, _public_key(key))
    except OSError as error:
        raise BadArgumentError(f"{file} cannot be read: {error.strerror}") from error
    show_one({"verified": True, **msgspec.to_builtins(verified)}, output)


def _public_key(text: str | None) -> bytes:
    if text is None:
        home = DataDirectory.from_environment(os.environ)
        return read_signing_key(KeyFolder(home.keys).audit_key).public
    try:
        public = bytes.fromhex(text)
    except ValueError:
        public = b""
    if len(public) != 32:
        raise BadArgumentError("the key is not 64 hex digits")
    return public


def register(app: App) -> None:
    """Add the commands of this file."""
    audit = App(name="audit", help="Who did what, with proof.")
    audit.command(export)
    audit.command(verify)
    app.command(audit)
