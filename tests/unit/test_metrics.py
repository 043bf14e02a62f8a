"""What a process counts, and how it is read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import aiohttp
import pytest
from prometheus_client.core import GaugeMetricFamily

from services.launcher.ports import free_port
from shared import metrics
from shared.messages.facts import AnyFact
from shared.metrics import MetricsSettings
from tests.support.openmetrics import samples
from tests.unit.auditor.events import backup_story


def test_a_completed_backup_counts_its_time_and_its_bytes() -> None:
    before = samples(metrics.exposed())

    for message in backup_story():
        metrics.said(message)

    after = samples(metrics.exposed())
    for name in (
        'holdfast_messages_said_total{type="backup.completed"}',
        'holdfast_run_seconds_count{kind="backup"}',
        'holdfast_run_bytes_total{kind="backup",of="raw"}',
    ):
        assert after[name] > before.get(name, 0), name


def test_endings_are_counted_from_zero() -> None:
    assert 'holdfast_messages_said_total{type="backup.failed"}' in samples(metrics.exposed())


def test_all_that_an_alert_counts_is_counted_from_zero() -> None:
    """`increase` is nothing over the first sample of a series: the first one would go unheard."""
    alerts = Path(__file__).parents[2] / "docs" / "monitoring" / "alerts.yaml"
    patterns = re.findall(r'holdfast_events_total\{type=~?"([^"]+)"\}', alerts.read_text())
    types = {str(one.__struct_config__.tag) for one in get_args(AnyFact)}
    told = {one for one in types if any(re.fullmatch(pattern, one) for pattern in patterns)}

    assert len(told) >= len(patterns) > 0
    assert told - {*metrics.ENDINGS} == set()


async def test_a_process_serves_its_metrics_where_it_is_told_to() -> None:
    port = free_port()
    async with (
        metrics.served(MetricsSettings(metrics_port=port)),
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}/metrics") as answer,
    ):
        text = await answer.read()
    assert answer.headers["content-type"] == metrics.CONTENT_TYPE
    assert "holdfast_bus_connects_total" in samples(text)

    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(f"http://127.0.0.1:{port}/metrics")


def test_what_a_process_counts_can_be_left_out() -> None:
    more = [GaugeMetricFamily("holdfast_projection_lag_events", "x", value=1.0)]

    assert set(samples(metrics.exposed(more, own=False))) == {"holdfast_projection_lag_events"}
