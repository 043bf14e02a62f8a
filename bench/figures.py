"""A figure: a JSON line for machines (`JSON=1`), a row of a table for people."""

from __future__ import annotations

import json
import os
import statistics


def report(
    name: str,
    value: float,
    unit: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> bool:
    """Print one figure; returns whether it reaches its bar (true where it has none)."""
    ok = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
    bar = at_least if at_least is not None else at_most
    figure = {"name": name, "value": round(value, 3), "unit": unit, "bar": bar, "ok": ok}
    if os.environ.get("JSON"):
        print(json.dumps(figure), flush=True)
    else:
        sign = "" if bar is None else f"  {'>=' if at_least is not None else '<='} {bar:g} {unit}"
        print(f"{'✓' if ok else '✗'} {name:<42} {value:>10.2f} {unit:<6}{sign}", flush=True)
    return ok


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of them do not exceed; values in any order."""
    return statistics.quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]
