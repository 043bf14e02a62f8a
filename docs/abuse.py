"""The abuse cases, and the tests that name them: for the table in SECURITY.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CASES = {
    1: "hostile names of databases, hosts, users",
    2: "secrets in arguments, environments, files",
    3: "secrets in logs, events, errors, metrics",
    4: "a connection test into the inner network",
    5: "a webhook by rebinding or redirect into the inner network",
    6: "scanning ports by times and errors",
    7: "an S3 endpoint that is the metadata host",
    14: "a path out of a local store",
    15: "ids of another scope",
    16: "escalation of roles, mass assignment",
    17: "a download link reused, shared, guessed",
    18: "forged tokens",
    19: "refresh replay, logout, fixation",
    20: "password spray, forged X-Forwarded-For",
    22: "the race for the first administrator",
    23: "a route without authentication",
    24: "CSRF, CORS, clickjacking",
    25: "markup and control characters in texts",
    26: "injection into CSV, logs, headers, mail",
    27: "wildcards and line ends in ids",
    29: "a forged event or command from a service",
    32: "sealed secrets moved between rows",
    33: "a backup object swapped or replayed",
    37: "tampered dependencies",
    38: "depth, size and number beyond measure",
    39: "the audit switched off, the clock set back",
}
_NAMED = re.compile(r"abuse[ _]cases?[ _](\d+(?:(?:, | and |_and_)\d+)*)", re.IGNORECASE)


def named() -> dict[int, set[str]]:
    """Number of a case -> the files of the tests that name it, in a docstring or their name."""
    found: dict[int, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for text in _texts(ast.parse(path.read_text())):
            for numbers in _NAMED.findall(text):
                for number in re.findall(r"\d+", numbers):
                    found.setdefault(int(number), set()).add(path.relative_to(ROOT).as_posix())
    return found


def _texts(module: ast.Module) -> Iterator[str]:
    """What a module says of itself, if it has tests, and what each test says of itself."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    tests = [
        node
        for node in ast.walk(module)
        if isinstance(node, kinds) and node.name.startswith("test_")
    ]
    if tests:
        yield ast.get_docstring(module) or ""
    for test in tests:
        yield f"{test.name}\n{ast.get_docstring(test) or ''}"


def table() -> str:
    """Each case with its tests."""
    tests = named()
    lines = ["| case | | tests |", "|---|---|---|"]
    for number, title in CASES.items():
        files = " ".join(f"`{path}`" for path in sorted(tests.get(number, ()))) or "not yet"
        lines.append(f"| {number} | {title} | {files} |")
    return "\n".join(lines)
