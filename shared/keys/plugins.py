"""Secret fields inside a plug-in's settings: found by schema, sealed and opened by path."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from shared.keys.sealed import Sealed, is_sealed
from shared.keys.vault import Vault
from shared.messages.values import PluginConfig


def secret_fields(schema: dict[str, Any]) -> list[str]:
    """The names of the fields that a plug-in's JSON schema marks `writeOnly`."""
    return [name for name, part in schema.get("properties", {}).items() if _is_secret(part)]


def _is_secret(part: dict[str, Any]) -> bool:
    return bool(part.get("writeOnly")) or any(map(_is_secret, part.get("anyOf", ())))


async def seal_config(
    vault: Vault, subject: str, path: str, config: PluginConfig, schema: dict[str, Any]
) -> PluginConfig:
    """`config` with every secret field as a token. `path` tells apart plug-ins of one setting."""
    sealed = dict(config)
    for name in secret_fields(schema):
        if isinstance(value := config.get(name), str):
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


def keys_of(config: PluginConfig) -> Iterator[str]:
    """The ids of the sealing keys used in `config`."""
    return (value["key"] for value in config.values() if is_sealed(value))
