"""Every operation of the OpenAPI document, and paths that lead to it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

import msgspec

from services.gateway.app import create_litestar
from services.gateway.openapi import described
from services.gateway.rights import Right


class Operation(msgspec.Struct, frozen=True):
    """One method of one path; `right` is what its guard asks for."""

    method: str
    path: str
    id: str
    right: Right
    parameters: tuple[tuple[str, str], ...]
    body: str
    streams: bool

    def filled(self, known: Mapping[str, str] | None = None) -> str:
        """A path with the ids in `known`, and else ones that stand for nothing."""
        kinds = dict(self.parameters)

        def value(found: re.Match[str]) -> str:
            name = found[1]
            if known and name in known:
                return known[name]
            return "999999" if kinds.get(name) == "integer" else str(uuid4())

        return re.sub(r"\{(\w+)\}", value, self.path)


def operations() -> Iterator[Operation]:
    """All of them, in the document's order."""
    for path, methods in described(create_litestar(None))["paths"].items():
        for method, operation in methods.items():
            answers = operation["responses"].values()
            kinds = {kind for answer in answers for kind in answer.get("content", {})}
            yield Operation(
                method=method.upper(),
                path=path,
                id=operation["operationId"],
                right=Right(operation.get("x-right", "public")),
                parameters=tuple(
                    (it["name"], _type(it["schema"]))
                    for it in operation.get("parameters", ())
                    if it["in"] == "path"
                ),
                body=_body(operation),
                streams="text/event-stream" in kinds,
            )


def _type(schema: dict[str, Any]) -> str:
    return str(schema.get("type", "string"))


def _body(operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
    return str(reference.rpartition("/")[2])
