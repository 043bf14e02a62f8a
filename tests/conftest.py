"""Fixtures for every suite: real servers, and what happens where a tool is missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support.evidence import Suites
from tests.support.nats import Nats, nats_server
from tests.support.postgres import Postgres, postgres_server
from tests.support.receiver import Receiver, receiver

hypothesis.settings.register_profile(
    "a slow machine is no bug",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("a slow machine is no bug")
NOTHING_MAY_BE_SKIPPED = os.environ.get("CI") == "true"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "needs(*tools): skipped where a program is not on PATH; fails if CI=true"
    )
    if config.option.markexpr == "soak":
        config.pluginmanager.register(Suites())


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for tool in mark.args:
            if shutil.which(tool) is None:
                pytest.skip(f"`{tool}` is not on PATH")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):  # type: ignore[no-untyped-def]  # pytest's own hook types
    report = yield
    if NOTHING_MAY_BE_SKIPPED and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"CI=true, and this was skipped: {call.excinfo.value}"
    return report


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    """A nats-server of this test alone (50 ms)."""
    with nats_server(tmp_path / "nats") as server:
        yield server


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL 18 for all tests of a worker: make a database of your own, do not stop it."""
    with postgres_server(tmp_path_factory.mktemp("postgres18"), major=18) as server:
        yield server


@pytest.fixture(scope="session")
def customer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL 16 for all tests of a worker: make a database of your own, do not stop it."""
    with postgres_server(tmp_path_factory.mktemp("postgres16"), major=16) as server:
        yield server


@pytest.fixture
async def inbox() -> AsyncIterator[Receiver]:
    """A receiver of HTTP requests."""
    async with receiver() as receiving:
        yield receiving


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the full counts to `make soak`, and the random minute to `make chaos`."""
    for mark in ("soak", "chaos"):
        if mark not in config.option.markexpr:
            long = [item for item in items if item.get_closest_marker(mark)]
            items[:] = [item for item in items if item not in long]
            config.hook.pytest_deselected(items=long)
