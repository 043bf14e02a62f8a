"""The installation at a glance."""

from __future__ import annotations

import msgspec
from litestar import get

from services.gateway.footing import replicas, streams, versions
from services.gateway.injection import Deps
from services.gateway.overview import Overview, Warned, overview, warning
from services.gateway.rights import Right
from services.gateway.routes.dispatch import dispatch_now


@get("/system", opt={"right": Right.SYSTEM_READ}, tags=["system"], operation_id="read_system")
async def read_system(deps: Deps) -> Overview:
    """Show how the installation does, and what is wrong with it; at most ten seconds old."""
    seen = overview(await deps.monitoring.families())
    now = await dispatch_now(deps)
    text = f"no run begins: dispatch is paused ({now.reason})"
    return msgspec.structs.replace(
        warning(seen, [Warned(text=text, about="dispatch")] if now.paused else []),
        replicas=replicas(await deps.monitoring.alive()),
        streams=await streams(deps.bus),
        versions=await versions(deps.read_model),
    )


ROUTES = [read_system]
