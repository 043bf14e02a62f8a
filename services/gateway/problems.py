"""Every failure as RFC 9457 problem+json, with a stable code and no secret."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from msgspec import structs

from services.gateway.errors import InputFault, InvalidFieldsError, TooManyAttemptsError
from shared.errors import PlatformError

MEDIA_TYPE = "application/problem+json"
CODES = {
    HTTPStatus.BAD_REQUEST: "input.invalid",
    HTTPStatus.UNAUTHORIZED: "auth.required",
    HTTPStatus.FORBIDDEN: "auth.forbidden",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "input.too_large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "input.invalid",
}
_FIELD = re.compile(r" - at `\$\.?(.*)`$")


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457. `code` is stable; `fix` is what the caller can most likely do."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    fix: str = ""
    request_id: str = ""
    errors: list[InputFault] = []


def document(
    request: Request[Any, Any, Any], status: HTTPStatus, code: str, detail: str
) -> ProblemDocument:
    """The problem of a request."""
    return ProblemDocument(
        type=f"/docs/errors#{code}",
        title=status.phrase,
        status=status.value,
        detail=detail,
        code=code,
        request_id=request.scope["state"].get("request_id", ""),
    )


def _response(
    problem: ProblemDocument, headers: dict[str, str] | None = None
) -> Response[ProblemDocument]:
    return Response(
        problem, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers or {}
    )


def on_platform_error(
    request: Request[Any, Any, Any], error: PlatformError
) -> Response[ProblemDocument]:
    headers: dict[str, str] = {}
    if isinstance(error, TooManyAttemptsError):
        headers["Retry-After"] = str(error.retry_after_s)
    elif error.status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "2"
    elif error.status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status is HTTPStatus.INTERNAL_SERVER_ERROR:
        structlog.get_logger().error("failed", code=error.code, cause=error.cause)
    faults = error.faults if isinstance(error, InvalidFieldsError) else []
    problem = document(request, error.status, error.code, error.cause)
    return _response(structs.replace(problem, fix=error.fix, errors=faults), headers)


def on_http_exception(
    request: Request[Any, Any, Any], error: HTTPException
) -> Response[ProblemDocument]:
    status = HTTPStatus(error.status_code)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return on_bug(request, error)
    faults = _faults(error)
    detail = "the input is not valid" if faults else error.detail.split("\n")[0][:300]
    code = CODES.get(status, "input.invalid")
    problem = document(request, status, code, detail)
    return _response(structs.replace(problem, errors=faults), error.headers)


def on_too_deep(
    request: Request[Any, Any, Any], error: RecursionError
) -> Response[ProblemDocument]:
    """Only input nests so deep; our own code calls itself a few times at most."""
    structlog.get_logger().warning("too_deep", where=type(error).__name__)
    problem = document(request, HTTPStatus.BAD_REQUEST, "input.invalid", "the input nests too deep")
    return _response(structs.replace(problem, fix="send it flatter"))


def on_bug(request: Request[Any, Any, Any], error: Exception) -> Response[ProblemDocument]:
    structlog.get_logger().error("bug", exc_info=error)
    problem = document(
        request,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "internal",
        "the gateway failed in a way nobody expected",
    )
    fix = "report it with the request id; the gateway's log has the details"
    return _response(structs.replace(problem, fix=fix))


def _faults(error: HTTPException) -> list[InputFault]:
    extra = error.extra if isinstance(error.extra, list) else []
    return [_fault(item) for item in extra if isinstance(item, dict)]


def _fault(item: dict[str, Any]) -> InputFault:
    message, key = str(item.get("message", "")), str(item.get("key", ""))
    source = str(getattr(item.get("source"), "value", item.get("source", "body")))
    if (match := _FIELD.search(message)) is not None:
        key = match[1] or key
        message = message[: match.start()]
    if source != "body":
        return InputFault(f"{source}:{key}", message)
    path = key.replace("[", ".").replace("]", "").removeprefix("data").strip(".")
    return InputFault("".join(f"/{part}" for part in path.split(".") if part), message)


HANDLERS: dict[Any, Any] = {
    PlatformError: on_platform_error,
    HTTPException: on_http_exception,
    RecursionError: on_too_deep,
    Exception: on_bug,
}
