"""Whether an audit checkpoint has passed an event: before that no high-risk wish is fulfilled."""

from __future__ import annotations

from sqlalchemy import select

from services.gateway.dependencies import Dependencies
from shared.readmodel.tables import audit_checkpoints


async def is_checkpointed(deps: Dependencies, seq: int) -> bool:
    """Event `seq` is leaf `seq` - 1, so a checkpoint of size `seq` covers it."""
    newest = select(audit_checkpoints.c.size).order_by(audit_checkpoints.c.size.desc()).limit(1)
    row = await deps.read_model.one(newest)
    return row is not None and row.size >= seq
