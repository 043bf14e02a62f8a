"""The AsyncAPI document: every message of the bus, its address and its stream. Run it to print."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, get_args

import msgspec

from services.gateway.openapi import VERSION
from shared.bus import layout
from shared.bus.subjects import first_matching
from shared.messages.base import Fact, Message, Order, Output, Setting
from shared.messages.facts import AnyFact
from shared.messages.orders import AnyOrder
from shared.messages.output import AnyOutput
from shared.messages.settings import AnySetting, SettingRemoved

SCHEMAS = "#/components/schemas/{name}"
KEPT = ("name", "subjects", "storage", "retention", "discard", "max_age", "max_bytes")
PARAMETERS = {
    "pool": "`core`, or an agent's name",
    "key": "the id of the thing that the message is about",
    "run_id": "the run",
    "noun": "the noun of what was removed",
}
HEADERS = {
    name: {"type": "string"}
    for name in (
        *("ce-id", "ce-type", "ce-source", "ce-time", "ce-specversion", "ce-datacontenttype"),
        "Nats-Msg-Id",
    )
}


def described() -> dict[str, Any]:
    """AsyncAPI 3.0 as plain JSON values, the same bytes each time."""
    kinds = [*map(get_args, (AnyFact, AnySetting, AnyOrder))]
    classes: list[type[Message]] = [*kinds[0], *kinds[1], *kinds[2], *get_args(AnyOutput)]
    _, schemas = msgspec.json.schema_components(classes, ref_template=SCHEMAS)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Holdfast",
            "version": VERSION,
            "description": "What the services say to each other. Outside systems hear `evt.>`"
            " (`holdfast subscriber add`); messages are CloudEvents 1.0 in binary mode.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": dict(_channels(classes)),
        "operations": dict(_operations(classes)),
        "components": {
            "messages": {kind.__name__: _message(kind) for kind in classes},
            "schemas": schemas,
        },
    }


def _channels(classes: list[type[Message]]) -> Iterator[tuple[str, Any]]:
    for kind in classes:
        address = address_of(kind)
        names = [part[1:-1] for part in address.split(".") if part.startswith("{")]
        yield (
            kind.__name__,
            {
                "address": address,
                "messages": {
                    kind.__name__: {"$ref": f"#/components/messages/{kind.__name__}"},
                },
                "parameters": {name: {"description": PARAMETERS[name]} for name in names},
                "bindings": {"nats": {"bindingVersion": "0.1.0"}},
                "x-jetstream": _stream_of(address),
            },
        )


def _operations(classes: list[type[Message]]) -> Iterator[tuple[str, Any]]:
    """What an outside system may do: hear facts."""
    for kind in classes:
        if issubclass(kind, Fact):
            channel = {"$ref": f"#/channels/{kind.__name__}"}
            yield f"hear{kind.__name__}", {"action": "receive", "channel": channel}


def _message(kind: type[Message]) -> dict[str, Any]:
    return {
        "name": str(kind.__struct_config__.tag),
        "summary": " ".join((kind.__doc__ or "").split("\n\n")[0].split()),
        "contentType": "application/json",
        "headers": {"type": "object", "properties": HEADERS},
        "payload": {"$ref": SCHEMAS.format(name=kind.__name__)},
    }


def address_of(kind: type[Message]) -> str:
    """The subjects of a class, its variable parts in braces."""
    tag = str(kind.__struct_config__.tag)
    if issubclass(kind, Fact):
        return f"evt.{tag}.{{pool}}.{{key}}"
    if issubclass(kind, SettingRemoved):
        return "cfg.{noun}.{key}"
    if issubclass(kind, Setting):
        return f"cfg.{tag.removeprefix('setting.')}.{{key}}"
    if issubclass(kind, Order):
        return f"cmd.{tag}.{{pool}}.{{run_id}}"
    assert issubclass(kind, Output)
    return "log.{pool}.{run_id}"


def _stream_of(address: str) -> dict[str, Any]:
    """The stream that keeps what is said there."""
    subject = ".".join("x" if part.startswith("{") else part for part in address.split("."))
    for stream in layout.streams():
        if first_matching(stream["subjects"], subject):
            return {name: stream[name] for name in KEPT if name in stream}
    raise AssertionError(f"no stream keeps {address}")


def _print() -> None:
    """`python -m services.gateway.asyncapi > docs/api/asyncapi.json`."""
    document = msgspec.json.encode(described(), order="deterministic")
    sys.stdout.write(msgspec.json.format(document, indent=2).decode() + "\n")


if __name__ == "__main__":
    _print()
