"""What Litestar hands to a route by the name of its parameter."""

from __future__ import annotations

from typing import Any, TypeAlias

from litestar import Request
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from services.gateway.callers import Caller
from services.gateway.dependencies import Dependencies

Deps: TypeAlias = NamedDependency[SkipValidation[Dependencies]]
Who: TypeAlias = NamedDependency[SkipValidation[Caller]]


async def deps_of(request: Request[Any, Any, Any]) -> Dependencies:
    """Provides `deps`."""
    deps: Dependencies = request.app.state.deps
    return deps


async def caller_of(request: Request[Any, Any, Any], deps: Deps) -> Caller:  # noqa: ARG001
    """Provides `caller`, whom the guard has let in.

    It names `deps` to come after it: what does not depend on each other Litestar resolves in a
    group of tasks, which costs every request more than the rest of both.
    """
    caller: Caller = request.scope["state"]["caller"]
    return caller
