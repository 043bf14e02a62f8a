"""Every abuse case of the control plane is an automated test that names its number."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTROL_PLANE = [*range(4, 8), *range(15, 21), *range(22, 28), 29, 32, 33, 37, 38, 39]


@pytest.fixture(scope="module")
def abuse() -> ModuleType:
    spec = importlib.util.spec_from_file_location("abuse", ROOT / "docs" / "abuse.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("number", CONTROL_PLANE)
def test_each_case_of_the_control_plane_is_named_by_a_test(abuse: ModuleType, number: int) -> None:
    assert number in abuse.CASES
    assert abuse.named().get(number)


def test_what_only_stands_in_a_comment_or_beside_a_test_names_nothing(abuse: ModuleType) -> None:
    import ast

    source = "# abuse case 5\nX = 'abuse case 6'\ndef test_x():\n    'Abuse cases 7 and 8.'\n"

    texts = "".join(abuse._texts(ast.parse(source)))

    assert abuse._NAMED.findall(texts) == ["7 and 8"]


def test_a_number_that_no_case_has_is_named_by_no_test(abuse: ModuleType) -> None:
    assert {*abuse.named()} <= {*abuse.CASES}
