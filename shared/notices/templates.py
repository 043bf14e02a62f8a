"""Templates of notes: a part of Jinja2 that cannot run long, grow large, or reach anything.

There are texts, values with harmless filters, `if`, and one level of `for one in notes`: no calls,
no arithmetic, no assignments, no attributes of Python. So the work is bounded by the length of the
template times the number of notes, whatever somebody writes.
"""

from __future__ import annotations

import time
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import msgspec
from jinja2 import TemplateError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from shared.errors import PlatformError

LONGEST_TEMPLATE = 8_000
LONGEST_TEXT = 16_000
LONGEST_EXPRESSION = 100
"""How many words and signs `{{ }}` or `{% %}` may hold."""
DEEPEST = 10
"""How many blocks may stand within each other, and how many brackets."""
WITHIN_S = 1.0
FILTERS = frozenset(
    {"upper", "lower", "capitalize", "title", "trim", "truncate", "default", "d", "length"}
    | {"count", "filesizeformat", "first", "last"}
)
_ALLOWED = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Const),
    *(nodes.If, nodes.CondExpr, nodes.And, nodes.Or, nodes.Not, nodes.Compare, nodes.Operand),
    *(nodes.Filter, nodes.Test, nodes.For, nodes.Keyword, nodes.Getitem),
)
_TESTS = frozenset({"defined", "undefined", "none", "true", "false"})


class TemplateFaultError(PlatformError):
    """The template cannot be used."""

    code = "template.invalid"
    status = HTTPStatus.BAD_REQUEST
    default_fix = "see docs/notifications.md for what a template may hold"


class Words(msgspec.Struct, frozen=True):
    """What a template made."""

    title: str
    body: str


class _Environment(ImmutableSandboxedEnvironment):
    """Names lead into the values that were given, never to attributes of Python's objects."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return self.undefined(obj=obj, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(argument, str):
            return self.getattr(obj, argument)
        if isinstance(obj, list) and isinstance(argument, int) and 0 <= argument < len(obj):
            return obj[argument]
        return self.undefined(obj=obj, name=argument)


def _environment() -> _Environment:
    # Texts, not HTML: each channel escapes what it writes, whoever wrote it.
    made = _Environment(autoescape=False, cache_size=0)
    made.globals.clear()
    made.filters = {name: it for name, it in made.filters.items() if name in FILTERS}
    made.tests = {name: it for name, it in made.tests.items() if name in _TESTS}
    return made


_environment_of_notes = _environment()


def checked(source: str) -> None:
    """Raise TemplateFaultError unless `source` is a template that may be used."""
    _compiled(source)


def rendered(title: str, body: str, values: dict[str, Any]) -> Words:
    """Both templates with `values`, at most LONGEST_TEXT long; raises TemplateFaultError."""
    return Words(_rendered(title, values), _rendered(body, values))


def _rendered(source: str, values: dict[str, Any]) -> str:
    until, parts, size = time.monotonic() + WITHIN_S, [], 0
    try:
        for part in _compiled(source).generate(values):
            parts.append(part)
            size += len(part)
            if size > LONGEST_TEXT:
                break
            if time.monotonic() > until:
                raise TemplateFaultError("the template takes too long")
    except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise TemplateFaultError(f"the template fails: {type(error).__name__}") from None
    return "".join(parts)[:LONGEST_TEXT]


@lru_cache(maxsize=128)
def _compiled(source: str) -> Any:
    if len(source) > LONGEST_TEMPLATE:
        raise TemplateFaultError(f"the template is longer than {LONGEST_TEMPLATE} characters")
    try:
        _refuse_nesting(source)
        tree = _environment_of_notes.parse(source)
        _refuse(tree, within_for=False)
        return _environment_of_notes.from_string(tree)
    except TemplateError as error:
        raise TemplateFaultError(f"the template cannot be read: {error.message}") from None
    except (RecursionError, MemoryError, SyntaxError, ValueError):
        raise TemplateFaultError("the template cannot be read") from None


def _refuse_nesting(source: str) -> None:
    """Raise for what Jinja would read by a deep recursion.

    On a stack that is nearly full everything fails that happens to run, finalizers as well.
    """
    blocks, brackets, length, before = 0, 0, 0, ""
    for _, kind, word in _environment_of_notes.lex(source):
        if kind == "whitespace":
            continue
        if kind.endswith(("_begin", "_end")):
            length = brackets = 0
        if before == "block_begin":
            blocks += {"if": 1, "for": 1, "endif": -1, "endfor": -1}.get(word, 0)
        if kind == "operator":
            brackets += (word in "([{") - (word in ")]}")
        length, before = length + 1, kind
        if length > LONGEST_EXPRESSION or max(blocks, brackets) > DEEPEST:
            raise TemplateFaultError("the template is nested too deeply")


def _refuse(node: nodes.Node, *, within_for: bool) -> None:
    """Raise for what is not in the part of the language that is safe."""
    if not isinstance(node, _ALLOWED):
        raise TemplateFaultError(f"a template may not hold {type(node).__name__}")
    if isinstance(node, nodes.Test) and node.name not in _TESTS:
        raise TemplateFaultError(f"there is no test `{node.name}`")
    if isinstance(node, nodes.For):
        if within_for or node.recursive or node.else_ or node.test:
            raise TemplateFaultError("a template has one level of plain `for`")
        if not (isinstance(node.iter, nodes.Name) and node.iter.name == "notes"):
            raise TemplateFaultError("a template's `for` goes over `notes`")
        within_for = True
    for child in node.iter_child_nodes():
        _refuse(child, within_for=within_for)
