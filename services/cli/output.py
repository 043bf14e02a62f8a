"""What the command line prints: tables for people, JSON for programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.cli.errors import BadArgumentError

Format = Literal["table", "json"]
Output = Annotated[
    Format | None,
    Parameter(name=["--output", "-o"], help="table (on a terminal) or json (in a pipe)"),
]


def format_of(wanted: Format | None) -> Format:
    """What was asked for, else what suits stdout."""
    return wanted or ("table" if sys.stdout.isatty() else "json")


def show(items: Sequence[dict[str, Any]], columns: Sequence[str], output: Format | None) -> None:
    """Print a list; JSON holds every field, a table the columns."""
    if format_of(output) == "json":
        print(msgspec.json.encode(items).decode())
        return
    table = Table(*(column.replace("_", " ") for column in columns), box=None, pad_edge=False)
    for item in items:
        table.add_row(*(_cell(column, item.get(column)) for column in columns))
    Console().print(table)


def show_one(item: dict[str, Any], output: Format | None) -> None:
    """Print one thing."""
    if format_of(output) == "json":
        print(msgspec.json.encode(item).decode())
        return
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, value in item.items():
        table.add_row(Text(name.replace("_", " "), style="bold"), _cell(name, value))
    Console().print(table)


def note(text: str) -> None:
    """Say something beside the result, on stderr."""
    Console(stderr=True).print(Text(text))


def write_private(text: str, file: Path | None) -> None:
    """Write what is secret to a new file that only the owner reads, else to stdout.

    Raises BadArgumentError where the file exists already or cannot be made.
    """
    if file is None:
        sys.stdout.write(text)
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise BadArgumentError(f"{file} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as paper:
        paper.write(text)
    note(f"Written to {file}. Print it, then delete the file.")


def size(count: float) -> str:
    """Bytes for people: 1536 -> `1.5 KiB`."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError("unreachable")


def _cell(name: str, value: Any) -> Text:
    """A value as text: never markup, and no control character reaches the terminal."""
    if value is None:
        text = "-"
    elif name.endswith("_bytes") and isinstance(value, int):
        text = size(value)
    elif isinstance(value, dict | list):
        text = msgspec.json.encode(value).decode()
    else:
        text = str(value)
    return Text("".join(letter if letter.isprintable() else "�" for letter in text))
