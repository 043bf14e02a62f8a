"""The installation at a glance."""

from __future__ import annotations

from litestar import get

from services.gateway.injection import Deps
from services.gateway.overview import Overview, overview
from services.gateway.rights import Right


@get("/system", opt={"right": Right.SYSTEM_READ}, tags=["system"], operation_id="read_system")
async def read_system(deps: Deps) -> Overview:
    """Show how the installation does, and what is wrong with it; at most ten seconds old."""
    return overview(await deps.monitoring.families())


ROUTES = [read_system]
