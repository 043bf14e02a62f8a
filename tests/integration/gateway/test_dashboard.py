"""The dashboard and the alert rules name what a scrape really has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from tests.integration.gateway.platform import Gateway
from tests.integration.gateway.test_backups import completed
from tests.integration.gateway.test_monitoring import scraped, wish
from tests.support.openmetrics import samples

__all__ = ["wish"]

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "monitoring"
RULES: list[dict[str, Any]] = [
    rule
    for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    for rule in group["rules"]
]
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboard.json").read_text())
EXPRESSIONS = {
    **{rule["alert"]: rule["expr"] for rule in RULES},
    **{panel["title"]: panel["targets"][0]["expr"] for panel in DASHBOARD["panels"]},
}


def selectors(node: Any) -> Iterator[Any]:
    """Every selector of a metric in a parsed expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
        return
    children = ("expr", "lhs", "rhs", "vector_selector", "param")
    inside = [getattr(node, name, None) for name in children]
    inside += list(getattr(node, "args", None) or ())
    for one in inside:
        if one is not None and not isinstance(one, str):
            yield from selectors(one)


@pytest.fixture
async def names(gateway: Gateway, wish: dict[str, Any]) -> set[str]:
    """The names of a scrape after a backup, under an objective, with a quota and every service."""
    done = (await gateway.call("POST", "/backups", wish)).json()
    await completed(gateway, done["id"])
    await gateway.add("/objectives", {"name": "hourly", "rpo_s": 3600})
    for service in ("auditor", "executor"):
        await gateway.deps.bus.kv("beats").put(f"service.{service}.host-1", b"{}")
    return {name.partition("{")[0] for name in await scraped(gateway)}


async def test_every_metric_that_is_drawn_or_watched_is_in_a_scrape(names: set[str]) -> None:
    # One that needs what this platform has not: a store's quota, and a signed checkpoint.
    known = names | {"holdfast_store_quota_bytes", "holdfast_audit_checkpoint_age_seconds"}

    for title, expression in EXPRESSIONS.items():
        found = {one.name for one in selectors(promql_parser.parse(expression))}
        assert found, title
        assert found <= known, title


def test_a_wrong_expression_or_name_would_be_noticed() -> None:
    with pytest.raises(ValueError, match="unclosed"):
        promql_parser.parse("sum(rate(holdfast_x[5m])")
    (one,) = selectors(promql_parser.parse("max(rate(holdfast_nowhere[5m])) > 1"))
    assert one.name == "holdfast_nowhere"


def test_rules_say_how_bad_it_is_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert {"summary", "action"} <= rule["annotations"].keys()


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    panels = DASHBOARD["panels"]

    assert {"uid", "title", "schemaVersion", "templating", "time"} <= DASHBOARD.keys()
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert {"x", "y", "w", "h"} == panel["gridPos"].keys()
        assert panel["datasource"]["uid"] == "${datasource}"


def test_a_scrape_that_is_none_is_noticed() -> None:
    with pytest.raises(ValueError, match="EOF"):
        samples(b"holdfast_x 1\n")
