"""What a setting's change tells, whatever the settings are."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.changes import FieldChange, changes

SEALED = st.builds(lambda key: {"key": key, "token": "canary"}, st.sampled_from(["k1", "k2"]))
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.sampled_from(["a", "b"]) | SEALED,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "y/z", "~", "key"]), inner, max_size=3)
    ),
    max_leaves=8,
)
SETTINGS = st.none() | st.dictionaries(st.sampled_from(["name", "store", "rows"]), VALUES)


@given(SETTINGS, SETTINGS)
def test_no_token_is_ever_told(before: dict[str, Any] | None, after: dict[str, Any] | None) -> None:
    assert b"canary" not in msgspec.json.encode(changes(before, after))


@given(SETTINGS)
def test_nothing_changed_is_no_change(setting: dict[str, Any] | None) -> None:
    assert changes(setting, setting) == []


@given(st.dictionaries(st.sampled_from("abc"), st.integers()), st.integers())
def test_a_changed_field_is_told_by_its_pointer(fields: dict[str, int], value: int) -> None:
    told = changes(fields, {**fields, "a/b~": value})

    assert told == [FieldChange(pointer="/a~1b~0", before=None, after=value)]


def test_the_envelope_of_a_message_is_no_part_of_the_setting() -> None:
    assert changes({"type": "setting.x", "id": 1, "actor": "a"}, {"id": 2, "actor": "b"}) == []
    gone = changes({"name": "n"}, {"type": "setting.removed", "of": "x"})
    assert gone == [FieldChange(pointer="/name", before="n", after=None)]
