"""Plug-in settings as callers send them: checked by the announced schema, secrets sealed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from services.gateway.dependencies import Dependencies
from services.gateway.errors import (
    InputFault,
    InvalidFieldsError,
    NotAnnouncedError,
    SecretRequiredError,
)
from shared.keys.plugins import seal_config, secret_fields
from shared.keys.sealed import is_sealed
from shared.messages.values import PluginConfig
from shared.plugins import Schema, announced


class Stored(msgspec.Struct, frozen=True):
    """What stands in the log now. `moved`: a secret would no longer travel the same way."""

    config: PluginConfig = {}
    moved: bool = False


NOTHING = Stored()


async def accepted(
    deps: Dependencies,
    kind: str,
    config: PluginConfig,
    pointer: str,
    stored: Stored = NOTHING,
) -> tuple[PluginConfig, Schema]:
    """`config` with the kept secrets of `stored`, and its schema.

    An absent secret keeps the stored one only while nothing else of the plug-in's settings
    changes and the way to it is the same: else it could be sent elsewhere.
    Raises InvalidFieldsError or SecretRequiredError with pointers below `pointer`, and no value.
    """
    schema = await _schema(deps, kind, config, pointer)
    kept = _kept(schema, config, stored.config)
    faults = [*_faults(schema, config, pointer, without=kept)]
    if faults:
        raise InvalidFieldsError(f"the settings of the {kind} are not valid", faults)
    if kept and (stored.moved or not same_settings(schema, config, stored.config)):
        raise SecretRequiredError(
            f"the settings of the {kind} changed, so its secrets are needed again",
            [InputFault(f"{pointer}/{name}", "needed again") for name in kept],
        )
    return {**config, **kept}, schema


def same_settings(schema: Schema, one: PluginConfig, other: PluginConfig) -> bool:
    """Whether two plug-ins' settings differ at most in secrets; absent means the default."""
    secrets = secret_fields(schema)
    parts: dict[str, Any] = schema.get("properties", {})
    return all(
        one.get(name, part.get("default")) == other.get(name, part.get("default"))
        for name, part in parts.items()
        if name not in secrets
    )


async def sealed(
    deps: Dependencies, subject: str, path: str, config: PluginConfig, schema: Schema
) -> PluginConfig:
    """`config` as it may stand in the log."""
    return await seal_config(deps.vault, subject, path, config, schema)


async def _schema(deps: Dependencies, kind: str, config: PluginConfig, pointer: str) -> Schema:
    schemas = await announced(deps.bus, kind)
    if not schemas:
        raise NotAnnouncedError(f"no service has announced which {kind}s there are")
    schema = schemas.get(str(config.get("kind")))
    if schema is None:
        fault = InputFault(f"{pointer}/kind", f"one of {', '.join(sorted(schemas))}")
        raise InvalidFieldsError(f"there is no such {kind}", [fault])
    return schema


def _kept(schema: Schema, config: PluginConfig, before: PluginConfig) -> PluginConfig:
    return {
        name: before[name]
        for name in secret_fields(schema)
        if config.get(name) is None and is_sealed(before.get(name))
    }


def _faults(
    schema: Schema, config: PluginConfig, pointer: str, *, without: PluginConfig
) -> Iterator[InputFault]:
    needed = [name for name in schema.get("required", ()) if name not in without]
    given = {name: value for name, value in config.items() if name not in without}
    for error in Draft202012Validator({**schema, "required": needed}).iter_errors(given):
        yield InputFault("/".join((pointer, *map(_escaped, error.absolute_path))), _said(error))


def _escaped(part: str | int) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")


def _said(error: ValidationError) -> str:
    """What is wrong, without the value: it may be a secret."""
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"missing: {', '.join(missing)}"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = [name for name in error.instance if name not in known]
        return f"unknown: {', '.join(unknown)}"
    if error.validator in {"anyOf", "oneOf"}:
        return "fits none of the allowed shapes"
    return f"does not fit {error.validator}: {error.validator_value}"
