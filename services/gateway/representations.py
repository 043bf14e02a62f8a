"""What several routes show or accept."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

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
View = TypeVar("View")


class Input(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a caller sends: an unknown field is refused, never ignored."""


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The request is stored and will be done; `href` shows it in a moment."""

    id: str
    href: str


def convert(row: Row[Any], kind: type[View], **replaced: Any) -> View:
    """A row as a representation: columns by name, some of them replaced."""
    # SQLAlchemy's column names are a subclass of str, which msgspec does not take as a key.
    columns = {str(name): value for name, value in row._mapping.items()}
    return msgspec.convert({**columns, **replaced}, kind)
