"""Pausing and resuming the dispatch of runs: who may, and who sees it."""

from __future__ import annotations

from shared.messages.facts import DispatchPaused, DispatchResumed
from shared.messages.values import Grant, Role
from tests.integration.gateway.platform import Gateway, Platform
from tests.integration.gateway.test_accounts import sign_in_as

WHY = {"reason": "the cellar is rebuilt"}


async def test_a_pause_says_why_and_by_whom_until_somebody_resumes(
    gateway: Gateway, platform: Platform
) -> None:
    before = (await gateway.call("GET", "/dispatch")).json()
    paused = await gateway.call("POST", "/dispatch/pause", WHY)
    shown = (await gateway.call("GET", "/dispatch")).json()
    warnings = (await gateway.call("GET", "/system")).json()["warnings"]
    resumed = await gateway.call("POST", "/dispatch/resume")
    again = await gateway.call("POST", "/dispatch/resume")  # nothing to do, and nothing is said

    assert before["paused"] is False
    assert (paused.status_code, resumed.status_code, again.status_code) == (200, 200, 200)
    assert (shown["paused"], shown["reason"]) == (True, WHY["reason"])
    assert shown["actor"]
    assert any(WHY["reason"] in warning for warning in warnings)
    assert (await gateway.call("GET", "/dispatch")).json()["paused"] is False
    said = [one.message for one in platform.server.stream("EVENTS").messages]
    kinds = [type(one) for one in said if isinstance(one, DispatchPaused | DispatchResumed)]
    assert kinds == [DispatchPaused, DispatchResumed]


async def test_a_pause_without_a_reason_is_refused(gateway: Gateway) -> None:
    for body in ({}, {"reason": ""}, {"reason": "x" * 301}, {"reason": "x", "for": "ever"}):
        answer = await gateway.call("POST", "/dispatch/pause", body)
        assert answer.status_code == 400

    assert (await gateway.call("GET", "/dispatch")).json()["paused"] is False


async def test_who_operates_a_part_cannot_stop_the_whole(gateway: Gateway) -> None:
    await sign_in_as(gateway, Role.OPERATOR, Grant(role=Role.OPERATOR, environments=["staging"]))
    part = await gateway.call("POST", "/dispatch/pause", WHY)
    shown = await gateway.call("GET", "/dispatch")
    await gateway.log_in()
    await sign_in_as(gateway, Role.OPERATOR)
    whole = await gateway.call("POST", "/dispatch/pause", WHY)

    assert (part.status_code, shown.status_code, whole.status_code) == (403, 200, 200)
