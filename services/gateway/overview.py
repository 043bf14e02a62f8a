"""The installation at a glance: the figures of monitoring in words, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec
from prometheus_client.metrics_core import Metric

from services.gateway.footing import Replica, StreamLevel

SERVICES = (
    *("auditor", "executor", "gateway", "health"),
    *("notifier", "retention", "scheduler", "storage"),
)
LAG_S, CHECKPOINT_S = 30.0, 600.0
"""Until then no word: how far the read model is behind, how old the newest checkpoint is."""
NEARLY_FULL = 0.8


class OpenRuns(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs of a kind are in one status, in one pool."""

    kind: str
    status: str
    pool: str
    number: int


class StoreLevel(msgspec.Struct, frozen=True, kw_only=True):
    """What a store holds."""

    id: str
    name: str
    archives: int
    stored_bytes: int
    quota_bytes: int | None


class Warned(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong, in a sentence, and what with; `id` where it is about one thing."""

    text: str
    about: Literal["service", "read_model", "audit", "store", "server", "database", "dispatch"]
    id: str | None = None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The installation. `services`: processes that beat lately, by service. `warnings`: what is
    wrong with any of it, in sentences; none when all is well. `warned`: the same, each with what
    it is about. `versions`: of the replica that answers, and of what it stands on."""

    services: dict[str, int]
    projection_lag_events: int
    projection_lag_s: float
    checkpoint_age_s: float | None
    runs: list[OpenRuns]
    stores: list[StoreLevel]
    servers: dict[str, int]
    databases: int
    databases_without_backup: int
    warnings: list[str] = []
    warned: list[Warned] = []
    replicas: list[Replica] = []
    streams: list[StreamLevel] = []
    versions: dict[str, str] = {}


def overview(families: Iterable[Metric]) -> Overview:
    """What `Monitoring.families` found, as one thing."""
    found = {family.name: family.samples for family in families}

    def value(name: str) -> float | None:
        return next((sample.value for sample in found.get(name, [])), None)

    def by(name: str, label: str) -> dict[str, int]:
        return {one.labels[label]: int(one.value) for one in found.get(name, [])}

    counted = by("holdfast_store_archives", "store_id")
    quotas = by("holdfast_store_quota_bytes", "store_id")
    seen = Overview(
        services=dict.fromkeys(SERVICES, 0) | by("holdfast_service_replicas", "service"),
        projection_lag_events=int(value("holdfast_projection_lag_events") or 0),
        projection_lag_s=value("holdfast_projection_lag_seconds") or 0.0,
        checkpoint_age_s=value("holdfast_audit_checkpoint_age_seconds"),
        runs=[
            OpenRuns(**one.labels, number=int(one.value))
            for one in found.get("holdfast_runs_open", [])
            if one.value
        ],
        stores=[
            StoreLevel(
                id=one.labels["store_id"],
                name=one.labels["store"],
                archives=counted.get(one.labels["store_id"], 0),
                stored_bytes=int(one.value),
                quota_bytes=quotas.get(one.labels["store_id"]),
            )
            for one in found.get("holdfast_store_bytes", [])
        ],
        servers=by("holdfast_servers", "health"),
        databases=int(value("holdfast_databases") or 0),
        databases_without_backup=int(value("holdfast_databases_without_backup") or 0),
    )
    return warning(seen, _warnings(seen))


def warning(seen: Overview, more: Iterable[Warned]) -> Overview:
    """`seen` with more that is wrong, before what was known."""
    warned = [*more, *seen.warned]
    return msgspec.structs.replace(seen, warned=warned, warnings=[one.text for one in warned])


def _warnings(seen: Overview) -> Iterator[Warned]:
    for service in SERVICES:
        if not seen.services[service]:
            yield Warned(text=f"no {service} is running", about="service", id=service)
    if seen.projection_lag_s > LAG_S:
        text = f"the read model is {seen.projection_lag_s:.0f} s behind the log"
        yield Warned(text=text, about="read_model")
    if seen.checkpoint_age_s is not None and seen.checkpoint_age_s > CHECKPOINT_S:
        text = f"the newest checkpoint of the audit log is {seen.checkpoint_age_s:.0f} s old"
        yield Warned(text=text, about="audit")
    for store in seen.stores:
        if store.quota_bytes and store.stored_bytes >= NEARLY_FULL * store.quota_bytes:
            share = 100 * store.stored_bytes / store.quota_bytes
            text = f"the store {store.name} has used {share:.0f} % of its quota"
            yield Warned(text=text, about="store", id=store.id)
    if count := seen.servers.get("unreachable"):
        text = f"{_counted(count, 'server', 'is', 'are')} unreachable"
        yield Warned(text=text, about="server")
    if count := seen.databases_without_backup:
        text = f"{_counted(count, 'database', 'has', 'have')} no good backup"
        yield Warned(text=text, about="database")


def _counted(count: int, one: str, singular: str, plural: str) -> str:
    return f"{count} {one} {singular}" if count == 1 else f"{count} {one}s {plural}"
