"""What is learned about servers: tests, discoveries, health."""

from __future__ import annotations

from collections.abc import Iterator

from services.auditor.projection import runs
from services.auditor.projection.backups import database_seen
from services.auditor.projection.change import Change, Projections, update
from shared.messages.facts import (
    ServerDiscovered,
    ServerDiscoveryRequested,
    ServerHealthChanged,
    ServerTested,
    ServerTestRequested,
)
from shared.messages.values import DatabaseRef
from shared.readmodel.tables import databases, servers


def test_requested(event: ServerTestRequested, seq: int) -> Iterator[Change]:
    yield runs.requested(event, seq, "test", event.server_id, event.server_id)


def tested(event: ServerTested, seq: int) -> Iterator[Change]:
    if event.problem is not None:
        yield runs.failed(event.run_id, event, seq)
    else:
        yield runs.completed(event.run_id, event, seq, {"versions": event.versions})


def discovery_requested(event: ServerDiscoveryRequested, seq: int) -> Iterator[Change]:
    yield runs.requested(event, seq, "discovery", event.server_id, event.server_id)


def discovered(event: ServerDiscovered, seq: int) -> Iterator[Change]:
    if event.problem is not None:
        yield runs.failed(event.run_id, event, seq)
    else:
        yield runs.completed(event.run_id, event, seq, {"databases": len(event.databases)})
    for found in event.databases:
        database = DatabaseRef(server_id=event.server_id, endpoint=found.endpoint, name=found.name)
        yield database_seen(database)
        seen = update(size_bytes=found.size_bytes, seen_at=event.at)
        yield Change(databases, (database.id,), seen)


def health_changed(event: ServerHealthChanged, _seq: int) -> Iterator[Change]:
    judged = update(health=event.health, health_problem=event.problem, health_at=event.at)
    yield Change(servers, (event.server_id,), judged)


PROJECTIONS: Projections = {
    ServerTestRequested: test_requested,
    ServerTested: tested,
    ServerDiscoveryRequested: discovery_requested,
    ServerDiscovered: discovered,
    ServerHealthChanged: health_changed,
}
