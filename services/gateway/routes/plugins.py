"""Plug-ins: the JSON schemas of what can be configured."""

from __future__ import annotations

from typing import Any

from litestar import get

from services.gateway.injection import Deps
from services.gateway.rights import Right
from shared.plugins import KINDS, announced


@get("/plugins", opt={"right": Right.PLUGINS_READ}, tags=["plugins"], operation_id="list_plugins")
async def list_plugins(deps: Deps) -> dict[str, dict[str, dict[str, Any]]]:
    """The schema of each engine, runner, store and channel; secret fields are `writeOnly`."""
    return {kind: await announced(deps.bus, kind) for kind in KINDS}


ROUTES = [
    list_plugins,
]
