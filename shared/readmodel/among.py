"""A condition on a column for any number of values: a statement takes 32767 parameters at most."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, any_, literal
from sqlalchemy.dialects.postgresql import ARRAY


def among(column: ColumnElement[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """The condition that `column` is one of the `values`, which are one parameter together."""
    return column == any_(literal([*values], ARRAY(column.type)))
