"""Abuse case 27: ids that would be more than an id on the bus."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from services.gateway.app import create_litestar
from services.gateway.representations import Input
from shared.bus.base import EVENTS
from tests.integration.gateway.operations import operations
from tests.integration.gateway.platform import Gateway, Platform

HOSTILE = ["*", ">", "a.b", "a\r\nPUB evt.x 0", "a b", "$JS", "x" * 65]
ID = re.compile(r"(^|_)(id|ids|key|pool)$")


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_a_path_with_such_an_id_leads_nowhere(
    gateway: Gateway, platform: Platform, hostile: str
) -> None:
    before = (await platform.bus.state(EVENTS)).last_seq
    answers: dict[str, int] = {}
    for one in operations():
        if one.parameters and not one.streams:
            path = re.sub(r"\{\w+\}", lambda _: quote(hostile, safe=""), one.path)
            answer = await gateway.client.request(one.method, path, json={})
            answers[f"{one.method} {one.path}"] = answer.status_code

    assert {name: code for name, code in answers.items() if not 400 <= code < 500} == {}
    assert (await platform.bus.state(EVENTS)).last_seq == before


def test_every_id_that_is_sent_in_a_body_has_an_ids_shape() -> None:
    create_litestar(None)  # everything is imported
    _, shapes = msgspec.json.schema_components([*inputs(Input)])
    loose = {
        f"{name}.{field}"
        for name, schema in shapes.items()
        for field, shape in schema.get("properties", {}).items()
        if ID.search(field) and not all(map(_is_fenced, _texts(shape)))
    }

    assert loose == set()


def inputs(kind: type[Input]) -> Iterator[type[Input]]:
    """Every kind of input that any route takes."""
    for one in kind.__subclasses__():
        yield one
        yield from inputs(one)


def _texts(shape: dict[str, Any]) -> list[dict[str, Any]]:
    """The shapes of text within it: of a list its items, of a choice each one."""
    if "items" in shape:
        return _texts(shape["items"])
    choices = [*shape.get("oneOf", []), *shape.get("anyOf", [])]
    if choices:
        return [text for choice in choices for text in _texts(choice)]
    return [shape] if shape.get("type") == "string" else []


def _is_fenced(shape: dict[str, Any]) -> bool:
    if shape.get("format") == "uuid" or "enum" in shape or "const" in shape:
        return True
    pattern, longest = shape.get("pattern", ""), shape.get("maxLength", 0)
    return pattern == r"^[A-Za-z0-9_-]+$" and 0 < longest <= 64
