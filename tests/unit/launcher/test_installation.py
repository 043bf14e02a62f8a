"""What an installation runs."""

from __future__ import annotations

import pytest

from services.launcher.installation import gateways, metrics_port
from shared.settings import ConfigurationError


@pytest.mark.parametrize(("given", "count"), [({}, 1), ({"GATEWAYS": "4"}, 4)])
def test_one_gateway_runs_unless_more_are_asked_for(given: dict[str, str], count: int) -> None:
    assert gateways(given) == count


@pytest.mark.parametrize("given", ["", "0", "17", "-1", "two", "1.5"])
def test_no_usable_number_of_gateways_is_refused(given: str) -> None:
    with pytest.raises(ConfigurationError, match="GATEWAYS"):
        gateways({"GATEWAYS": given})


def test_each_of_several_gateways_has_a_port_of_its_own_for_its_metrics(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GATEWAY_METRICS_PORT", "9400")
    ports = [metrics_port("gateway", process) for process in ("gateway", "gateway-2", "gateway-3")]

    assert ports == [{}, {"METRICS_PORT": "9401"}, {"METRICS_PORT": "9402"}]
    assert metrics_port("executor", "executor") == {}
