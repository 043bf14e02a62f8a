"""Subjects and filters: which match, which are safe, which stream holds them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from shared.bus.base import COMMANDS, EVENTS, LOGS
from shared.errors import InvalidInputError

_TOKEN = re.compile(r"[^\s.*>\x00-\x20\x7f]+")
_UNSAFE_HEADER = re.compile(r"[\r\n\x00]")
_STREAMS = {"evt": EVENTS, "cfg": EVENTS, "cmd": COMMANDS, "log": LOGS}


def matches(pattern: str, subject: str) -> bool:
    """Whether `subject` is under `pattern` (`*` one part, `>` one or more at the end)."""
    wanted, given = pattern.split("."), subject.split(".")
    for place, part in enumerate(wanted):
        if part == ">":
            return len(given) > place
        if place >= len(given) or part not in ("*", given[place]):
            return False
    return len(wanted) == len(given)


def common(filters: Sequence[str]) -> str:
    """The narrowest single filter that hears everything the `filters` hear."""
    split = [one.split(".") for one in filters]
    parts: list[str] = []
    for place in range(min(len(one) for one in split)):
        found = {one[place] for one in split}
        if ">" in found:
            return ".".join([*parts, ">"])
        parts.append(found.pop() if len(found) == 1 else "*")
    if len({len(one) for one in split}) == 1:
        return ".".join(parts)
    # The longer ones go on where the shortest ends: hear its last part's place and below.
    return ".".join([*parts[:-1], ">"])


def stream_of(subject: str) -> str:
    """The stream that stores `subject`; raises InvalidInputError when none does."""
    try:
        return _STREAMS[subject.partition(".")[0]]
    except KeyError:
        raise InvalidInputError(f"no stream stores {subject!r}") from None


def checked_subject(subject: str, *, wildcards: bool = False) -> str:
    """Return `subject`, or raise InvalidInputError where it is none or could escape its line."""
    parts = subject.split(".")
    if wildcards:
        parts = [part for part in parts[:-1] if part != "*"] + [
            part for part in parts[-1:] if part not in ("*", ">")
        ]
    if len(subject) > 1024 or not all(_TOKEN.fullmatch(part) for part in parts):
        raise InvalidInputError(f"not a subject: {subject!r}")
    return subject


def checked_headers(headers: dict[str, str]) -> dict[str, str]:
    """Return `headers`, or raise InvalidInputError where one could start another line."""
    for name, value in headers.items():
        if _UNSAFE_HEADER.search(name + value) or ":" in name or not name.strip():
            raise InvalidInputError(f"not a header: {name!r}")
    return headers


def kind_of(subject: str) -> str:
    """What is said, without what it is about: `evt.backup.completed`, `cfg.store`."""
    parts = subject.split(".")
    return ".".join(parts[: 2 if parts[0] == "cfg" else 3])


def first_matching(filters: Iterable[str], subject: str) -> bool:
    """Whether any of the filters hears `subject`."""
    return any(matches(pattern, subject) for pattern in filters)
