"""A scrape as the reference parser reads it."""

from __future__ import annotations

from prometheus_client.openmetrics.parser import text_string_to_metric_families


def samples(text: bytes) -> dict[str, float]:
    """`name{label="value"}` -> value; raises ValueError where it is no OpenMetrics."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found
