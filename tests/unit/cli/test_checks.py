"""Checks on the command line."""

from __future__ import annotations

from typing import Any

import pytest

from services.cli.commands.schedules import _check
from services.cli.errors import BadArgumentError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rows: select 1", {"name": "rows", "query": "select 1"}),
        (
            "many orders >= 5: select count(*) from a where b = 'x:y'",
            {
                "name": "many orders",
                "query": "select count(*) from a where b = 'x:y'",
                "at_least": 5.0,
            },
        ),
        (
            "state = all well: select state from s",
            {"name": "state", "query": "select state from s", "expected": "all well"},
        ),
        ("a=b:select 1\nfrom c", {"name": "a", "query": "select 1\nfrom c", "expected": "b"}),
    ],
)
def test_a_check_is_read(text: str, expected: dict[str, Any]) -> None:
    assert _check(text) == expected


@pytest.mark.parametrize("text", ["", "no query", "x >= many: select 1", ": select 1"])
def test_what_is_no_check_is_refused(text: str) -> None:
    with pytest.raises(BadArgumentError):
        _check(text)
