"""What a look at one thing has shown."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is the thing, `cause` how it is; `fix` is what to do where it is not well."""

    name: str
    level: Level
    cause: str
    fix: str = ""


def well(name: str, cause: str) -> Finding:
    return Finding(name=name, level=Level.OK, cause=cause)


def doubtful(name: str, cause: str, fix: str) -> Finding:
    return Finding(name=name, level=Level.WARN, cause=cause, fix=fix)


def bad(name: str, cause: str, fix: str) -> Finding:
    return Finding(name=name, level=Level.FAIL, cause=cause, fix=fix)


def is_well(findings: Iterable[Finding]) -> bool:
    """Whether nothing has failed; what is doubtful does not count."""
    return all(one.level is not Level.FAIL for one in findings)
