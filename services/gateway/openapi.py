"""The OpenAPI document: Litestar's, plus what every route shares. Run it to print the document."""

from __future__ import annotations

import re
import sys
from typing import Any

import msgspec
from litestar import Litestar, Router
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, License, SecurityScheme

from services.gateway.errors import InputFault
from services.gateway.once import HEADER
from services.gateway.problems import MEDIA_TYPE, ProblemDocument
from services.gateway.representations import Accepted, Input
from services.gateway.rights import Right

VERSION = "1.0.0"
_GENERIC = re.compile(r"Page_services\.gateway\.routes\.\w+\.(\w+)_")
CONFIG = OpenAPIConfig(
    title="Holdfast",
    version=VERSION,
    description="Back up and restore databases. Every failure is an RFC 9457 problem.",
    license=License(name="Apache-2.0", identifier="Apache-2.0"),
    components=Components(
        security_schemes={
            "bearer": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT"),
            "cookie": SecurityScheme(
                type="apiKey", name="holdfast_access", security_scheme_in="cookie"
            ),
        }
    ),
    use_handler_docstrings=True,
    openapi_router=Router(
        # Litestar insists on its own page of the bare document; ours is /api/v1/openapi.json.
        "/api/v1/schema",
        route_handlers=[],
        include_in_schema=False,
        opt={"right": Right.PUBLIC},
    ),
    render_plugins=(JsonRenderPlugin(),),
)
ONCE_ONLY = ("/setup", "/api-keys")
"""What shows a secret once, and so has no answer that could be repeated."""

CONSTRAINTS = {"pattern", "minLength", "maxLength", "minimum", "maximum"}
ALWAYS = {
    "400": "The input is not valid",
    "401": "Nobody is signed in, or the credentials are wrong",
    "403": "The account lacks the right",
    "404": "There is no such thing",
    "429": "Too many requests",
    "503": "A dependency does not answer",
}


def described(app: Litestar) -> dict[str, Any]:
    """The document of `app` as plain JSON values, the same bytes each time."""
    text = msgspec.json.encode(app.openapi_schema.to_schema()).decode()
    schema: dict[str, Any] = msgspec.json.decode(_GENERIC.sub(r"\1Page", text))
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    components.update(_components())
    for kind in Input.__subclasses__():  # Litestar does not tell that unknown fields are refused
        components[kind.__name__]["additionalProperties"] = False
        _constrain_items(kind, components[kind.__name__]["properties"])
    options = _options(app)
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            of_route = options[operation["operationId"]]
            _complete(path, method, operation, of_route["right"])
            _complete_by_route(operation, of_route)
    return schema


def _constrain_items(kind: type[Input], told: dict[str, Any]) -> None:
    """Say of the items of lists what they must be like, which Litestar does not tell."""
    known = msgspec.json.schema_components([kind])[1][kind.__name__]["properties"]
    for name, field in told.items():
        _constrain(field, known.get(name, {}))


def _constrain(told: dict[str, Any], known: dict[str, Any]) -> None:
    inner, wanted = told.get("items"), known.get("items")
    if isinstance(inner, dict) and isinstance(wanted, dict) and "$ref" not in inner:
        for word in CONSTRAINTS & wanted.keys():
            inner.setdefault(word, wanted[word])
        _constrain(inner, wanted)
    for one in told.get("oneOf", ()):
        for other in known.get("anyOf", ()):
            if one.get("type") == other.get("type") == "array":
                _constrain(one, other)


def _components() -> dict[str, Any]:
    _, parts = msgspec.json.schema_components(
        [ProblemDocument, Accepted, InputFault], ref_template="#/components/schemas/{name}"
    )
    return dict(parts)


def _options(app: Litestar) -> dict[str, dict[str, Any]]:
    """What each route says of itself: `right`, `streams`, `later`, `if_match`, `problems`."""
    return {
        str(handler.operation_id): handler.opt
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if getattr(handler, "operation_id", None)
    }


def _complete(path: str, method: str, operation: dict[str, Any], right: Right) -> None:
    """Add what the route's decorator does not say: security, problems, shared headers."""
    answers = operation.setdefault("responses", {})
    problems = dict(ALWAYS)
    if right is not Right.PUBLIC:
        operation["security"] = [{"bearer": []}, {"cookie": []}]
        operation["x-right"] = right.value
    if method in {"post", "put", "delete"}:
        problems["409"] = "The state does not allow it"
    if "requestBody" in operation:
        problems["413"] = "The body is too large"
    _complete_by_method(path, method, operation, problems)
    for status, description in problems.items():
        answers[status] = _problem(description)


def _complete_by_method(
    path: str, method: str, operation: dict[str, Any], problems: dict[str, str]
) -> None:
    answers = operation["responses"]
    versioned = not path.startswith("/api/v1/backups") and "/sessions" not in path
    if method in {"put", "delete"} and versioned:
        _header(operation, "If-Match", required=True)
        problems |= {"412": "Not the current version", "428": "If-Match is missing"}
    if method == "post" and answers.keys() & {"201", "202"} and not path.endswith(ONCE_ONLY):
        _header(operation, HEADER, required=False)
        problems["422"] = "The Idempotency-Key stands for another request"
    if (
        method == "put"
        or ("201" in answers and not path.endswith(ONCE_ONLY))
        or path.endswith(("test-connection", "/databases"))
    ):
        answers.setdefault("202", _accepted())


def _complete_by_route(operation: dict[str, Any], options: dict[str, Any]) -> None:
    """Add what the route's `opt` says: media types of a stream, problems that only it has."""
    answers = operation["responses"]
    if media_types := options.get("streams"):
        text = {"schema": {"type": "string"}}
        answers["200"]["content"] = dict.fromkeys(media_types, text)
    if options.get("tells_unready"):
        answers["503"] = {**answers["200"], "description": "Not ready, and why"}
    if options.get("if_match"):
        _header(operation, "If-Match", required=True)
        answers |= {"412": _problem("Not the current version"), "202": _accepted()}
        answers["428"] = _problem("If-Match is missing")
    if options.get("later"):
        answers["202"] = _accepted()
    for status, description in options.get("problems", {}).items():
        answers[status] = _problem(description)


def _header(operation: dict[str, Any], name: str, *, required: bool) -> None:
    operation.setdefault("parameters", []).append(
        {"name": name, "in": "header", "required": required, "schema": {"type": "string"}}
    )


def _problem(description: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    return {"description": description, "content": {MEDIA_TYPE: {"schema": schema}}}


def _accepted() -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Accepted"}
    return {
        "description": "Stored, and visible in a moment",
        "content": {"application/json": {"schema": schema}},
    }


def _print() -> None:
    """`python -m services.gateway.openapi > docs/api/openapi.json`."""
    from services.gateway.app import create_litestar

    document = msgspec.json.encode(described(create_litestar(None)), order="deterministic")
    sys.stdout.write(msgspec.json.format(document, indent=2).decode() + "\n")


if __name__ == "__main__":
    _print()
