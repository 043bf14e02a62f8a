"""The dashboard: one page for all its addresses, and the files that it loads."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, get
from litestar.params import FromPath
from litestar.response import Redirect

from services.gateway.pages import CONTENT_SECURITY_POLICY, ENTRY, File, pages
from services.gateway.rights import Right
from shared.errors import NotFoundError


@get("/", opt={"right": Right.PUBLIC}, include_in_schema=False)
async def root(request: Request[Any, Any, Any]) -> Response[bytes] | Redirect:
    """Lead a person to the dashboard, or to the documentation where it was not built."""
    if not pages().built:
        return Redirect("/docs", status_code=302)
    return _answer(request, pages().entry)


@get("/{path:path}", opt={"right": Right.PUBLIC}, include_in_schema=False)
async def page(path: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
    """A file of the dashboard; its page for every address that a browser asks for by name."""
    name = path.strip("/")
    found = pages().file(name)
    if found is None and pages().built and _is_address(request, name):
        found = pages().entry
    if found is None:
        raise NotFoundError("there is nothing at this address")
    return _answer(request, found)


def _is_address(request: Request[Any, Any, Any], name: str) -> bool:
    """Whether a person went there: a program that mistyped a path gets its 404."""
    return not name.startswith("assets/") and "text/html" in request.headers.get("accept", "")


def _answer(request: Request[Any, Any, Any], file: File) -> Response[bytes]:
    headers = {"Cache-Control": file.cache_control, "Vary": "Accept-Encoding"}
    if file is pages().file(ENTRY):
        headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    content = file.content
    if file.compressed and "gzip" in request.headers.get("accept-encoding", ""):
        content, headers["Content-Encoding"] = file.compressed, "gzip"
    return Response(content, media_type=file.media_type, headers=headers)


ROUTES = [
    root,
    page,
]
