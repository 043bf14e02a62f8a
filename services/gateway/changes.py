"""What a setting's new version changed: pure, and without any secret or personal value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from shared.keys.sealed import is_sealed

ENVELOPE = frozenset({"type", "id", "at", "actor", "caused_by", "request_id", "key"})
REMOVED = "setting.removed"
LONGEST_TEXT = 4000
Secret = Literal["set", "changed", "removed"]


class FieldChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One changed field, by its RFC 6901 pointer. Of a secret only that it changed is told."""

    pointer: str
    before: Any = None
    after: Any = None
    secret: Secret | None = None


def changes(before: dict[str, Any] | None, after: dict[str, Any] | None) -> list[FieldChange]:
    """From one stored version of a setting to the next; None where there is none, or no more."""
    return [*_differences("", _state(before), _state(after))]


def _state(said: dict[str, Any] | None) -> dict[str, Any]:
    if said is None or said.get("type") == REMOVED:
        return {}
    return {name: value for name, value in said.items() if name not in ENVELOPE}


def _differences(pointer: str, old: Any, new: Any) -> Iterator[FieldChange]:
    if old == new:
        return
    if is_sealed(old) or is_sealed(new):
        yield FieldChange(pointer=pointer, secret=_secret(old, new))
    elif isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            inside = f"{pointer}/{_escaped(name)}"
            yield from _differences(inside, old.get(name), new.get(name))
    elif _is_nested(old) or _is_nested(new):
        yield from _in_lists(pointer, _items(old), _items(new))
    elif isinstance(old, dict) or isinstance(new, dict):
        yield from _one_sided(pointer, old, new)
    else:
        yield FieldChange(pointer=pointer, before=_shown(old), after=_shown(new))


def _one_sided(pointer: str, old: Any, new: Any) -> Iterator[FieldChange]:
    """An object where there was none, or no more: field by field, so that secrets stay hidden."""
    if not isinstance(old, dict) and old is not None:
        yield FieldChange(pointer=pointer, before=_shown(old))
    yield from _differences(
        pointer, old if isinstance(old, dict) else {}, new if isinstance(new, dict) else {}
    )
    if not isinstance(new, dict) and new is not None:
        yield FieldChange(pointer=pointer, after=_shown(new))


def _secret(old: Any, new: Any) -> Secret:
    if not is_sealed(old):
        return "set"
    return "changed" if is_sealed(new) else "removed"


def _in_lists(pointer: str, old: list[Any], new: list[Any]) -> Iterator[FieldChange]:
    for place in range(max(len(old), len(new))):
        pair = (part[place] if place < len(part) else None for part in (old, new))
        yield from _differences(f"{pointer}/{place}", *pair)


def _is_nested(value: Any) -> bool:
    """Whether it is a list with anything in it that may hold a secret."""
    return isinstance(value, list) and any(isinstance(part, dict | list) for part in value)


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _shown(value: Any) -> Any:
    """A value as it stands: only texts, numbers and flat lists come here."""
    return value[:LONGEST_TEXT] if isinstance(value, str) else value


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
