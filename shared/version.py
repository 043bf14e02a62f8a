"""Which version of the platform this process runs."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed


@cache
def version() -> str:
    """As it was installed; `unknown` where the files lie there without an installation."""
    try:
        return installed("holdfast")
    except PackageNotFoundError:
        return "unknown"
