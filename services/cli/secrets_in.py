"""Secrets come from a file, a pipe or a prompt; never from an argument, which others can see."""

from __future__ import annotations

import sys
from getpass import getpass
from pathlib import Path

from services.cli.errors import BadArgumentError

STDIN = "-"


def secret(what: str, path: str | None) -> str:
    """The first line of the file, of stdin for `-`, or what is typed without being shown."""
    if path == STDIN:
        return sys.stdin.readline().rstrip("\r\n")
    if path is not None:
        return _first_line(Path(path), what)
    if not sys.stdin.isatty():
        raise BadArgumentError(
            f"the {what} cannot be asked for without a terminal", fix="give a file, or - for stdin"
        )
    return getpass(f"{what}: ")


def _first_line(path: Path, what: str) -> str:
    try:
        return path.read_text().split("\n", 1)[0].rstrip("\r")
    except OSError as error:
        raise BadArgumentError(f"the file of the {what}: {error.strerror}") from error
