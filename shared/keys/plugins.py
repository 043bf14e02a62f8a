"""Secret fields inside a plug-in's settings: found by schema, sealed and opened by path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.errors import InvalidInputError, PlatformError
from shared.keys.sealed import Sealed, is_sealed
from shared.keys.vault import Vault
from shared.messages.values import PluginConfig


class HiddenSecretError(PlatformError):
    """A plug-in marks a secret where nothing would seal it."""

    code = "plugin.hidden_secret"
    default_fix = "move the secret to a field of the plug-in itself"


def secret_fields(schema: dict[str, Any]) -> list[str]:
    """The names of the fields that a plug-in's JSON schema marks `writeOnly`.

    Raises HiddenSecretError for a mark deeper inside: that value would enter the log in clear.
    """
    fields = schema.get("properties", {})
    found = [name for name, part in fields.items() if _is_secret(part)]
    if _marks(schema) != sum(_marks(fields[name]) for name in found):
        raise HiddenSecretError(f"the plug-in {schema.get('title', '')} has a nested secret")
    return found


def _is_secret(part: dict[str, Any]) -> bool:
    return bool(part.get("writeOnly")) or any(map(_is_secret, part.get("anyOf", ())))


def _marks(part: Any) -> int:
    """How often `writeOnly` is said anywhere inside."""
    if isinstance(part, list):
        return sum(map(_marks, part))
    if not isinstance(part, dict):
        return 0
    return (part.get("writeOnly") is True) + sum(map(_marks, part.values()))


async def seal_config(
    vault: Vault, subject: str, path: str, config: PluginConfig, schema: dict[str, Any]
) -> PluginConfig:
    """`config` with every secret field as a token. `path` tells apart plug-ins of one setting.

    A token that stands there already (a secret that an edit keeps) and an absent value stay.
    """
    sealed = dict(config)
    for name in secret_fields(schema):
        value = config.get(name)
        if value is None or is_sealed(value):
            continue
        if not isinstance(value, str):
            raise InvalidInputError(f"{path}.{name} must be a text")
        token = await vault.seal(subject, f"{path}.{name}", value)
        sealed[name] = {"key": token.key, "token": token.token}
    return sealed


async def open_config(vault: Vault, subject: str, path: str, config: PluginConfig) -> PluginConfig:
    """`config` with every token replaced by its value, ready to be decoded by the plug-in."""
    opened = dict(config)
    for name, value in config.items():
        if is_sealed(value):
            opened[name] = await vault.open(Sealed(**value), subject, f"{path}.{name}")
    return opened


def without_secrets(config: PluginConfig) -> PluginConfig:
    """`config` as the API may show it: secret fields are gone."""
    return {name: value for name, value in config.items() if not is_sealed(value)}


def keys_of(value: Any) -> Iterator[str]:
    """The ids of the sealing keys used anywhere in `value`, as JSON decodes it."""
    if is_sealed(value):
        yield value["key"]
    elif isinstance(value, dict):
        yield from keys_of([*value.values()])
    elif isinstance(value, list):
        for part in value:
            yield from keys_of(part)
