"""Executions of command templates."""

from __future__ import annotations

from collections.abc import Iterator

from services.auditor.projection import runs
from services.auditor.projection.change import Change, Projections, create, new_row, update
from shared.messages.facts import ExecutionFailed, ExecutionRequested
from shared.readmodel.tables import command_executions


def requested(event: ExecutionRequested, seq: int) -> Iterator[Change]:
    row = new_row(
        command_executions,
        id=event.execution_id,
        run_id=event.run_id,
        command_id=event.command_id,
        command_version=event.command_version,
        server_id=event.server_id,
        variables=event.variables,
        status="requested",
        actor=event.actor,
        reason=event.reason,
        requested_at=event.at,
        version=seq,
    )
    yield Change(command_executions, (event.execution_id,), create(row))
    yield runs.requested(event, seq, "command", event.execution_id, event.server_id)


def failed(event: ExecutionFailed, seq: int) -> Iterator[Change]:
    ended = update(status="failed", problem=event.problem, ended_at=event.at, version=seq)
    yield Change(command_executions, (event.execution_id,), ended)
    yield runs.failed(event.run_id, event, seq)


PROJECTIONS: Projections = {ExecutionRequested: requested, ExecutionFailed: failed}
