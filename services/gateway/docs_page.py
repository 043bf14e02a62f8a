"""The documentation as plain HTML: no script, no request to anywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from hashlib import sha256
from html import escape
from typing import Any

import msgspec

from shared.errors import PlatformError

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 0.9rem/1.4 ui-monospace, monospace; }
pre { overflow-x: auto; padding: 0.75rem; border: 1px solid; }
summary { cursor: pointer; padding: 0.25rem 0; }
table { border-collapse: collapse; }
td, th { padding: 0.25rem 0.75rem 0.25rem 0; text-align: start; vertical-align: top; }
.method { display: inline-block; min-width: 4.5rem; font-weight: 700; }
"""
_HASH = base64.b64encode(sha256(STYLE.encode()).digest()).decode()
NOT_BUILT = (
    "<p>This installation has no dashboard: it was not built. In a clone, "
    "<code>.ci/frontend build</code> builds it (Node 20.19 or newer, or the one of "
    "<code>.ci/setup</code>); then start the gateway again.</p>"
)
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'none'"
)


def reference_page(schema: dict[str, Any], *, built: bool) -> str:
    """The API reference of an OpenAPI document; it says how to build a dashboard that is not."""
    info = schema["info"]
    parts = [
        f"<h1>{escape(info['title'])} API {escape(info['version'])}</h1>",
        f"<p>{escape(info.get('description', ''))}</p>",
        '<p><a href="/">Dashboard</a></p>' if built else NOT_BUILT,
        '<p><a href="/api/v1/openapi.json">OpenAPI 3.1 document</a> · '
        '<a href="/docs/errors">Error codes</a></p>',
        *_operations(schema),
        "<h2>Schemas</h2>",
        *_schemas(schema),
    ]
    return _page("Holdfast API", "\n".join(parts))


def errors_page() -> str:
    """Every code that the gateway may answer with, with its fix."""
    rows = [
        f'<tr id="{escape(code)}"><td><code>{escape(code)}</code></td>'
        f"<td>{kind.status.value}</td><td>{escape(_summary(kind))}</td>"
        f"<td>{escape(kind.default_fix)}</td></tr>"
        for code, kind in sorted(_codes().items())
    ]
    table = "<table><tr><th>Code</th><th>Status</th><th>Meaning</th><th>Likely fix</th></tr>"
    return _page("Error codes", f"<h1>Error codes</h1>{table}{''.join(rows)}</table>")


def _operations(schema: dict[str, Any]) -> Iterator[str]:
    by_tag: dict[str, list[str]] = {}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            for tag in operation.get("tags", ["other"]):
                by_tag.setdefault(tag, []).append(_operation(path, method, operation))
    for tag in sorted(by_tag):
        yield f'<h2 id="{escape(tag)}">{escape(tag)}</h2>'
        yield from by_tag[tag]


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    detail = {
        name: operation[name]
        for name in ("parameters", "requestBody", "responses")
        if name in operation
    }
    right = operation.get("x-right", "public")
    return (
        f'<details><summary><span class="method">{escape(method.upper())}</span>'
        f"<code>{escape(path)}</code></summary>"
        f"<p>{escape(operation.get('description', ''))}</p>"
        f"<p>Right: <code>{escape(right)}</code></p><pre>{_json(detail)}</pre></details>"
    )


def _schemas(schema: dict[str, Any]) -> Iterator[str]:
    for name, part in sorted(schema["components"]["schemas"].items()):
        yield (
            f"<details><summary><code>{escape(name)}</code></summary>"
            f"<pre>{_json(part)}</pre></details>"
        )


def _json(value: Any) -> str:
    return escape(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}'
        '</title><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}</style></head><body>{body}</body></html>"
    )


def _codes() -> dict[str, type[PlatformError]]:
    """The class that brought in each code: a subclass may share its parent's."""
    found: dict[str, type[PlatformError]] = {}
    waiting: list[type[PlatformError]] = [PlatformError]
    while waiting:
        kind = waiting.pop(0)
        found.setdefault(kind.code, kind)
        waiting.extend(kind.__subclasses__())
    return found


def _summary(kind: type[PlatformError]) -> str:
    return (kind.__doc__ or "").strip().split("\n")[0]
