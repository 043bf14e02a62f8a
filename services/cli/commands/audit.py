"""The audit log: export it, and prove that nothing in it was changed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from services.cli.client import connected
from services.cli.errors import BadArgumentError
from services.cli.output import Output, note, show, show_one
from services.launcher.directory import DataDirectory
from shared.audit.merkle import includes, leaf_hash
from shared.audit.succession import Succession
from shared.audit.verify import AuditRefusedError, verify_audit
from shared.keys.files import KeyFolder
from shared.keys.reading import read_signing_key
from shared.messages.values import AuditHandover

COLUMNS = ("n", "time", "actor", "action", "object", "outcome")
KeyHex = Annotated[
    str | None,
    Parameter(name="--key", help="The audit log's public key, 64 hex digits, as you wrote it down"),
]


async def list_entries(  # noqa: PLR0913 - an argument per option
    *,
    actor: str | None = None,
    action: str | None = None,
    about: Annotated[str | None, Parameter(name="--object")] = None,
    outcome: str | None = None,
    since: str | None = None,
    until: str | None = None,
    address: str | None = None,
    limit: int = 50,
    output: Output = None,
) -> None:
    """List audit entries, the newest first: holdfast audit list --action 'server.*'"""
    given = {
        "actor": actor,
        "action": action,
        "object": about,
        "outcome": outcome,
        "since": since,
        "until": until,
        "address": address,
    }
    query = {name: value for name, value in given.items() if value is not None}
    async with connected() as client:
        show(await client.every("/audit/logs", limit=limit, **query), COLUMNS, output)


async def proof(n: int, *, key: KeyHex = None, output: Output = None) -> None:
    """Fetch the proof that an entry is in the signed log, and check it here.

    Without --key the key of the installation on this machine is the one to trust.
    """
    public = _public_key(key)
    async with connected() as client:
        told = await client.get(f"/audit/proof/{n}")
    handovers = msgspec.convert(told["checkpoint"].get("handovers", []), list[AuditHandover])
    signed = Succession.of(public, handovers).open(told["checkpoint"]["note"])
    path = [bytes.fromhex(one) for one in told["path"]]
    leaf = told["leaf"].encode()
    if not includes(leaf_hash(leaf), n, signed.size, path, signed.root):
        raise AuditRefusedError(f"entry {n} is not in the log that was signed")
    entry = msgspec.json.decode(leaf)
    show_one({"proved": True, "size": signed.size, "signed_at": signed.at, **entry}, output)


async def export(
    file: Path,
    *,
    events: Annotated[bool, Parameter(help="Also the bytes the entries are about")] = False,
    csv: Annotated[bool, Parameter(negative="", help="A table for people, without proof")] = False,
) -> None:
    """Write the whole audit log to a file."""
    query = {"format": "csv"} if csv else {"events": "true"} if events else {}
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
    audit.command(list_entries, name="list")
    audit.command(proof)
    audit.command(export)
    audit.command(verify)
    app.command(audit)
