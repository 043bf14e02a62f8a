"""The installation at a glance: figures, and a sentence for each that is bad."""

from __future__ import annotations

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from services.gateway.overview import SERVICES, overview


def family(name: str, *values: tuple[dict[str, str], float]) -> Metric:
    labels = [*values[0][0]] if values else []
    made = GaugeMetricFamily(name, name, labels=labels)
    for of, value in values:
        made.add_metric([*of.values()], value)
    return made


def services(**less: int) -> Metric:
    counts = dict.fromkeys(SERVICES, 1) | less
    return family(
        "holdfast_service_replicas", *(({"service": one}, count) for one, count in counts.items())
    )


def store(used: float, quota: float) -> list[Metric]:
    of = {"store_id": "s1", "store": "cellar"}
    return [
        family("holdfast_store_bytes", (of, used)),
        family("holdfast_store_archives", (of, 3)),
        family("holdfast_store_quota_bytes", (of, quota)),
    ]


def test_all_is_well_without_a_word() -> None:
    seen = overview([services(), *store(79, 100)])

    assert seen.warnings == []
    assert seen.services["scheduler"] == 1
    assert [(one.name, one.archives, one.quota_bytes) for one in seen.stores] == [
        ("cellar", 3, 100)
    ]


def test_each_thing_that_is_wrong_is_one_sentence() -> None:
    seen = overview(
        [
            services(scheduler=0),
            *store(80, 100),
            family("holdfast_projection_lag_seconds", ({}, 31)),
            family("holdfast_audit_checkpoint_age_seconds", ({}, 601)),
            family("holdfast_servers", ({"health": "unreachable"}, 2)),
            family("holdfast_databases_without_backup", ({}, 4)),
        ]
    )

    assert seen.warnings == [
        "no scheduler is running",
        "the read model is 31 s behind the log",
        "the newest checkpoint of the audit log is 601 s old",
        "the store cellar has used 80 % of its quota",
        "2 servers are unreachable",
        "4 databases have no good backup",
    ]


def test_each_warning_tells_what_it_is_about() -> None:
    unreachable = family("holdfast_servers", ({"health": "unreachable"}, 1))
    seen = overview([services(scheduler=0), *store(80, 100), unreachable])

    assert [(one.about, one.id) for one in seen.warned] == [
        ("service", "scheduler"),
        ("store", "s1"),
        ("server", None),
    ]
    assert [one.text for one in seen.warned] == seen.warnings


def test_runs_are_listed_where_there_are_any() -> None:
    of = {"kind": "backup", "status": "running", "pool": "core"}
    idle = {"kind": "restore", "status": "running", "pool": "core"}
    seen = overview([services(), family("holdfast_runs_open", (of, 2), (idle, 0))])

    assert [(one.kind, one.number) for one in seen.runs] == [("backup", 2)]
