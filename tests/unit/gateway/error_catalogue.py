"""Every stable error code of the project: `python -m tests.unit.gateway.error_catalogue`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from shared.errors import PlatformError

ROOT = Path(__file__).resolve().parents[3]
HEAD = """# Error codes

Every failure that Holdfast tells on purpose has a code that stays the same from release to
release: as `code` in an RFC 9457 problem of the API, in the `problem` of a run, in the logs. This
page is made by `python -m tests.unit.gateway.error_catalogue > docs/errors.md`.

| code | HTTP | meaning | likely fix |
|---|---|---|---|
"""


def classes() -> list[type[PlatformError]]:
    """Every PlatformError of `services` and `shared`, bases before what is derived."""
    for folder in ("services", "shared"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if parts[-1] != "__main__" and "migrations" not in parts:
                importlib.import_module(".".join(parts).removesuffix(".__init__"))
    found: list[type[PlatformError]] = []
    waiting: list[type[PlatformError]] = [PlatformError]
    while waiting:
        kind = waiting.pop(0)
        if kind.__module__.startswith(("services.", "shared.")):  # tests have errors of their own
            found.append(kind)
        waiting.extend(sorted(kind.__subclasses__(), key=lambda it: f"{it.__module__}.{it}"))
    return found


def page() -> str:
    """The page: one row per code, told by the class that brought it in."""
    first: dict[str, type[PlatformError]] = {}
    for kind in classes():
        first.setdefault(kind.code, kind)
    rows = [
        f"| `{code}` | {kind.status.value} | {_sentence(kind)} | {_escaped(kind.default_fix)} |\n"
        for code, kind in sorted(first.items())
    ]
    return HEAD + "".join(rows)


def _sentence(kind: type[PlatformError]) -> str:
    paragraph = (kind.__doc__ or "").strip().split("\n\n")[0]
    return _escaped(" ".join(paragraph.split()))


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
