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
    """Read the metrics as OpenMetrics text: of this gateway process, and of the installation."""
    return await _metrics(deps)


@get("/metrics", opt={"right": Right.METRICS_READ}, include_in_schema=False)
async def metrics_outside(deps: Deps) -> Response[bytes]:
    """The same where scrapers look first."""
    return await _metrics(deps)


async def _metrics(deps: Dependencies) -> Response[bytes]:
    return Response(exposed(await deps.monitoring.families()), media_type=CONTENT_TYPE)


ROUTES = [read_metrics]
OUTSIDE = [metrics_outside]
