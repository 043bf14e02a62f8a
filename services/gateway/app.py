"""The application: routes, the guard on each of them, and how failures are told."""

from __future__ import annotations

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ASGIApp

from services.gateway.authentication import guard, right_of
from services.gateway.dependencies import Dependencies
from services.gateway.edge import Edge
from services.gateway.injection import caller_of, deps_of
from services.gateway.openapi import CONFIG
from services.gateway.peers import listed
from services.gateway.problems import HANDLERS
from services.gateway.routes import API, OUTSIDE

PREFIX = "/api/v1"
LARGEST_BODY_BYTES = 1 << 20


def create_app(deps: Dependencies) -> ASGIApp:
    """The gateway as an ASGI application."""
    return Edge(
        create_litestar(deps),
        secure=deps.settings.secure,
        origins=listed(deps.settings.cors_origins),
    )


def create_litestar(deps: Dependencies | None) -> Litestar:
    """The routes alone; without `deps` only good for its OpenAPI document."""
    app = Litestar(
        route_handlers=[Router(PREFIX, route_handlers=API), *OUTSIDE],
        guards=[guard],
        dependencies={"deps": Provide(deps_of), "caller": Provide(caller_of)},
        exception_handlers=HANDLERS,
        openapi_config=CONFIG,
        request_max_body_size=LARGEST_BODY_BYTES,
        logging_config=None,
        state=State({"deps": deps}),
    )
    _refuse_unguarded(app)
    return app


def _refuse_unguarded(app: Litestar) -> None:
    """Every route names its right: forgetting one is a bug that must not start."""
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            right_of(handler)
