"""Health, and the API's own description."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import msgspec
from litestar import Request, Response, get

from services.gateway.asyncapi import described as messages_described
from services.gateway.dependencies import Dependencies
from services.gateway.docs_page import CONTENT_SECURITY_POLICY, errors_page, reference_page
from services.gateway.injection import Deps
from services.gateway.openapi import described
from services.gateway.pages import pages
from services.gateway.rights import Right
from shared.bus.base import EVENTS
from shared.bus.gate import GUARD, closed, says_ok
from shared.errors import PlatformError

CHECK_WITHIN_S = 2.0
PAGE_HEADERS = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether this replica can serve, and what each of its dependencies says."""

    ready: bool
    checks: dict[str, str]


@get("/healthz", opt={"right": Right.PUBLIC}, tags=["system"], operation_id="healthz")
async def healthz() -> dict[str, str]:
    """The process lives."""
    return {"status": "ok"}


@get(
    "/readyz",
    opt={"right": Right.PUBLIC, "tells_unready": True},
    tags=["system"],
    operation_id="readyz",
)
async def readyz(deps: Deps) -> Response[Readiness]:
    """The gateway reaches NATS and the read model, and the auditor allows it to write."""
    names = ("nats", "read_model", "auditor")
    said = await asyncio.gather(
        _checked(deps.bus.state(EVENTS)),
        _checked(deps.read_model.position()),
        _checked(_guarded(deps)),
    )
    checks = dict(zip(names, said, strict=True))
    ready = set(said) == {"ok"}
    return Response(Readiness(ready=ready, checks=checks), status_code=200 if ready else 503)


async def _guarded(deps: Dependencies) -> None:
    """Raise unless facts and settings may be written now."""
    if not says_ok(await deps.bus.ask(GUARD)):
        raise closed()


async def _checked(check: Awaitable[Any]) -> str:
    try:
        async with asyncio.timeout(CHECK_WITHIN_S):
            await check
    except PlatformError as error:
        return error.code
    except TimeoutError:
        return "no answer"
    return "ok"


@get("/docs", opt={"right": Right.PUBLIC}, include_in_schema=False)
async def reference(request: Request[Any, Any, Any]) -> Response[str]:
    """The API reference as one page without scripts."""
    page = reference_page(described(request.app), built=pages().built)
    return Response(page, media_type="text/html", headers=PAGE_HEADERS)


@get("/docs/errors", opt={"right": Right.PUBLIC}, include_in_schema=False)
async def errors() -> Response[str]:
    """Every code that a problem may carry."""
    return Response(errors_page(), media_type="text/html", headers=PAGE_HEADERS)


@get("/api/v1/openapi.json", opt={"right": Right.PUBLIC}, include_in_schema=False)
async def openapi(request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
    """The OpenAPI 3.1 document."""
    return Response(described(request.app), media_type="application/json")


@get("/api/v1/asyncapi.json", opt={"right": Right.PUBLIC}, include_in_schema=False)
async def asyncapi() -> Response[dict[str, Any]]:
    """The AsyncAPI 3 document of the bus."""
    return Response(messages_described(), media_type="application/json")


ROUTES = [
    healthz,
    readyz,
    reference,
    errors,
    openapi,
    asyncapi,
]
