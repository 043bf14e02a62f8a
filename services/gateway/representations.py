"""What several routes show or accept."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta
from sqlalchemy import Row

Name = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=120,
        pattern=r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?$",
        description="Unique among its kind; no control characters, no space at either end",
    ),
]
Text = Annotated[str, Meta(max_length=2000)]
Label = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]
BackupKind = Annotated[
    Literal["full", "incremental", "differential"],
    Meta(
        description="Full: everything. Incremental: what the last backup lacks. Differential: what "
        "the last full lacks. Where there is none to build on, a full is made"
    ),
]
CodecName = Literal["zstd", "lz4", "gzip", "none"]
ChainLimit = Annotated[
    int, Meta(ge=2, le=1000, description="How many backups a chain may have: the next is a full")
]
View = TypeVar("View")


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a caller sends: an unknown field is refused, never ignored."""


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The request is stored and will be done; `href` shows it in a moment."""

    id: str
    href: str


def convert(row: Row[Any], kind: type[View], **replaced: Any) -> View:
    """A row as a representation: columns by name, some of them replaced."""
    columns = dict(zip(_plain(row._fields), row, strict=True))
    columns.update(replaced)
    return msgspec.convert(columns, kind)


@lru_cache(maxsize=256)
def _plain(names: tuple[str, ...]) -> tuple[str, ...]:
    """SQLAlchemy's column names are a subclass of str, which msgspec does not take as a key."""
    return tuple(map(str, names))
