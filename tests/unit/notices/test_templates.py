"""Templates: what they may hold, and that nothing in them runs long, grows or escapes."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.notices.templates import LONGEST_TEXT, TemplateFaultError, checked, rendered

NOTE = {"text": "Backup failed", "severity": "error", "problem": {"cause": "no such database"}}
VALUES: dict[str, Any] = {**NOTE, "count": 2, "digest": False, "notes": [NOTE, NOTE]}


def made(body: str, values: dict[str, Any] = VALUES) -> str:
    return rendered("", body, values).body


def test_values_filters_conditions_and_one_loop_work() -> None:
    words = rendered(
        "{{ severity|upper }}: {{ text }}",
        "{% for one in notes %}- {{ one.problem.cause }}\n{% endfor %}"
        "{% if count > 1 %}{{ count }} times{% endif %}",
        VALUES,
    )

    assert words.title == "ERROR: Backup failed"
    assert words.body == "- no such database\n- no such database\n2 times"


@pytest.mark.parametrize(
    "source",
    [
        "{{ range(99999999) }}",
        "{{ 'a' * 9999999999 }}",
        "{{ 2 ** 99999999 }}",
        "{{ 'a' ~ 'b' }}",
        "{% for a in notes %}{% for b in notes %}x{% endfor %}{% endfor %}",
        "{% for a in text %}x{% endfor %}",
        "{% for a in [1, 2] %}x{% endfor %}",
        "{% set a = text %}",
        "{% macro a() %}{% endmacro %}",
        "{% include '/etc/passwd' %}",
        "{% import 'os' as os %}",
        "{{ text.replace('a', 'b') }}",
        "{{ text|join(text) }}",
        "{{ text|attr('__class__') }}",
        "{{ self.__init__.__globals__ }}{{ lipsum() }}",
        "{{ cycler.__init__() }}",
        "{{ " + "9" * 5000 + " }}",
        "{{ " + "not " * 1900 + "a }}",
        "{{ " + "-" * 300 + "1 }}",
        "{{ " + "(" * 300 + "1" + ")" * 300 + " }}",
        "{% if a %}" * 300 + "{% endif %}" * 300,
        "{{ a" + ".b" * 300 + " }}",
        "{% if a is callable %}{% endif %}",
        "{{",
        "x" * 8001,
    ],
)
def test_what_could_run_long_grow_or_reach_out_is_refused(source: str) -> None:
    with pytest.raises(TemplateFaultError):
        checked(source)


def test_what_is_nested_costs_no_stack() -> None:
    """A RecursionError that is caught was still one for finalizers that ran meanwhile."""
    deepest = "{% if not (((((((((a))))))))) %}" * 10 + "{% endif %}" * 10
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 500)
    try:
        checked(deepest)
        for opening in ("not ", "-", "(", "[", "a if "):
            with pytest.raises(TemplateFaultError, match="too deeply"):
                checked("{{ " + opening * 1000 + "a }}")
    finally:
        sys.setrecursionlimit(limit)


def test_many_parts_beside_each_other_are_no_nesting() -> None:
    beside = "{# a #}{{ text }}{% if count > 1 %}({{ count }}){% endif %} " * 100

    checked(beside)


@pytest.mark.parametrize(
    "source",
    [
        "{{ text.__class__ }}",
        "{{ notes.append }}",
        "{{ text.format }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ notes[0].keys }}",
        "{{ loop }}",
        "{{ range }}",
        "{{ lipsum }}",
        "{{ config }}",
    ],
)
def test_no_attribute_of_python_is_a_value(source: str) -> None:
    assert made(source) == ""


def test_the_text_is_cut_where_it_grows_long() -> None:
    many = {"notes": [{"text": "x" * 1000}] * 500}

    assert len(made("{% for one in notes %}{{ one.text }}{% endfor %}", many)) == LONGEST_TEXT


def test_markup_in_values_stays_as_it_is() -> None:
    """Abuse case 25: escaping is the channel's; here nothing is rendered, and nothing runs."""
    payload = "<script>{{ 7 * 7 }}</script>"

    assert made("{{ text }}", {"text": payload}) == payload


@given(st.text(alphabet="{}%# abfor notesinextendif|.()[]*+-~'\"0123456789", max_size=60))
def test_any_text_is_rendered_or_refused(source: str) -> None:
    try:
        text = made(source)
    except TemplateFaultError:
        return
    assert len(text) <= LONGEST_TEXT
