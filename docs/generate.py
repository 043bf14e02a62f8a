"""Writes what the documentation takes from the code: `python docs/generate.py [--check]`."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from services.launcher.installation import SERVICES
from shared.bus.connection import BusSettings
from shared.metrics import MetricsSettings

ROOT = Path(__file__).resolve().parent.parent

PLANNED = {
    "engine": ["mysql", "mongodb"],
    "runner": ["ssh", "docker", "kubernetes", "agent"],
    "store": [],
    "channel": ["slack", "email"],
    "codec": ["gzip", "lz4"],
}
MEANING = {
    "engine": "what is dumped",
    "runner": "where its tools run",
    "store": "where archives live",
    "channel": "where notifications go",
    "codec": "how frames are compressed",
}


def registries() -> dict[str, list[str]]:
    """Kind of plug-in -> the tags that this version has."""
    from services.executor.engines import AnyEngine
    from services.executor.runners import AnyRunner
    from services.notifier.channels import AnyChannel
    from shared.archive.codecs import AnyCodec
    from shared.stores import AnyStore

    unions = {
        "engine": AnyEngine,
        "runner": AnyRunner,
        "store": AnyStore,
        "channel": AnyChannel,
        "codec": AnyCodec,
    }
    return {kind: _tags(union) for kind, union in unions.items()}


def _tags(union: Any) -> list[str]:
    members = getattr(union, "__args__", (union,))
    return sorted(str(member.__struct_config__.tag) for member in members)


def plugin_table() -> str:
    """The README's table of what works today."""
    lines = ["| | works today | not yet |", "|---|---|---|"]
    for kind, tags in registries().items():
        planned = [tag for tag in PLANNED[kind] if tag not in tags]
        cells = (", ".join(f"`{tag}`" for tag in names) or "-" for names in (tags, planned))
        lines.append(f"| **{kind}**: {MEANING[kind]} | {' | '.join(cells)} |")
    return "\n".join(lines)


def settings_table() -> str:
    """Every variable that a service reads: who reads it, and what holds without it."""
    readers: dict[str, list[str]] = {}
    defaults: dict[str, str] = {}
    for service in SERVICES:
        kinds = (*_settings_of(service), BusSettings, MetricsSettings)
        named = {field.name: field for kind in kinds for field in msgspec.structs.fields(kind)}
        for field in named.values():
            if field.name.removesuffix("_file") in named.keys() - {field.name}:
                continue  # the form with _FILE of another variable, as each has one
            name = field.name.upper()
            readers.setdefault(name, []).append(service)
            defaults[name] = "required" if field.required else f"`{field.default!r}`"
    lines = ["| variable | without it | read by |", "|---|---|---|"]
    for name in sorted(readers):
        who = "all" if len(readers[name]) == len(SERVICES) else ", ".join(readers[name])
        lines.append(f"| `{name}` | {defaults[name]} | {who} |")
    return "\n".join(lines)


def _settings_of(service: str) -> list[type[msgspec.Struct]]:
    module = import_module(f"services.{service}.settings")
    return [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, msgspec.Struct)
        and kind.__module__ == module.__name__
    ]


def reasons_table() -> str:
    """Every reason why a backup is kept or expires."""
    from shared.retention.reasons import Reason

    lines = ["| reason | meaning |", "|---|---|"]
    lines += [f"| `{reason.code}` | {reason.sentence} |" for reason in Reason]
    return "\n".join(lines)


def abuse_table() -> str:
    """Every abuse case that has to be shown, with the tests that name it."""
    sys.path.insert(0, str(ROOT / "docs"))
    table: Callable[[], str] = import_module("abuse").table
    return table()


def with_section(text: str, name: str, content: str) -> str:
    """`text` with everything between the two markers of `name` replaced."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    assert pattern.search(text), f"no section {name}"
    return pattern.sub(lambda _: f"{begin}\n{content}\n{end}", text)


SECTIONS: list[tuple[str, str, Callable[[], str]]] = [
    ("README.md", "plug-ins", plugin_table),
    ("docs/configuration.md", "variables", settings_table),
    ("docs/retention.md", "reasons", reasons_table),
    ("SECURITY.md", "abuse", abuse_table),
]


def main() -> int:
    """Write, or with --check only compare; returns 1 when something is stale."""
    stale = 0
    for path, name, content in SECTIONS:
        page = ROOT / path
        wanted = with_section(page.read_text(), name, content())
        if page.read_text() != wanted:
            stale = 1
            if "--check" in sys.argv:
                print(f"{path} is stale: run `python docs/generate.py`")
            else:
                page.write_text(wanted)
    return stale if "--check" in sys.argv else 0


if __name__ == "__main__":
    raise SystemExit(main())
