"""Metrics: this process's, and those of the installation."""

from __future__ import annotations

from litestar import Response, get

from services.gateway.dependencies import Dependencies
from services.gateway.injection import Deps
from services.gateway.rights import Right
from shared.metrics import CONTENT_TYPE, exposed


@get(
    "/metrics",
    opt={"right": Right.METRICS_READ},
    tags=["system"],
    operation_id="read_metrics",
    media_type="application/openmetrics-text",
)
async def read_metrics(deps: Deps) -> Response[bytes]:
    """Read the metrics as OpenMetrics text: of the installation, and of this gateway process where
    it has its port for itself."""
    return await _metrics(deps)


@get("/metrics", opt={"right": Right.METRICS_READ}, include_in_schema=False)
async def metrics_outside(deps: Deps) -> Response[bytes]:
    """The same where scrapers look first."""
    return await _metrics(deps)


async def _metrics(deps: Dependencies) -> Response[bytes]:
    # Whoever answers at a shared port is chance: counters would seem to begin again all the time.
    own = not deps.settings.shared_port
    text = exposed(await deps.monitoring.families(), own=own)
    return Response(text, media_type=CONTENT_TYPE)


ROUTES = [read_metrics]
OUTSIDE = [metrics_outside]
