"""Writes what the documentation takes from the code: `python docs/generate.py [--check]`."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

PLANNED = {
    "engine": ["mysql", "mongodb", "redis"],
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


def with_section(text: str, name: str, content: str) -> str:
    """`text` with everything between the two markers of `name` replaced."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    assert pattern.search(text), f"no section {name}"
    return pattern.sub(lambda _: f"{begin}\n{content}\n{end}", text)


def main() -> int:
    """Write, or with --check only compare; returns 1 when something is stale."""
    readme = ROOT / "README.md"
    wanted = with_section(readme.read_text(), "plug-ins", plugin_table())
    if readme.read_text() == wanted:
        return 0
    if "--check" in sys.argv:
        print("README.md is stale: run `make docs`")
        return 1
    readme.write_text(wanted)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
