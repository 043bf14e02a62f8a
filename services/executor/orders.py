"""Orders opened: sealed settings turned into a runner, engines and a store that can act."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from services.executor.engines import AnyEngine
from services.executor.engines.base import Engine
from services.executor.runners import AnyRunner
from services.executor.runners.base import Runner
from shared.archive.chain import Link
from shared.archive.keys import Trust
from shared.errors import InvalidInputError
from shared.keys.plugins import secret_fields
from shared.keys.worker import open_as_worker
from shared.messages.orders import (
    DiscoverServer,
    OrderSecrets,
    ProbeServer,
    RunBackup,
    RunRestore,
    RunVerification,
    ServerSecrets,
    TestServer,
)
from shared.messages.values import PluginConfig
from shared.plugins import schemas_of
from shared.stores import AnyStore, Store, open_store
from shared.stores.paced import paced

_Plugin = TypeVar("_Plugin")
_runner: msgspec.json.Decoder[AnyRunner] = msgspec.json.Decoder(AnyRunner)
_engine: msgspec.json.Decoder[AnyEngine] = msgspec.json.Decoder(AnyEngine)


class BadSettingsError(InvalidInputError):
    """A configured thing does not fit what this executor knows."""

    code = "order.settings"
    default_fix = "correct the setting; after an upgrade, restart every executor of the pool"


class DataOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The open parts of a backup or restore. `secrets` must stand in no output."""

    runner: Runner
    engine: Engine
    engine_kind: str
    store: Store
    archive_key: bytes | None
    passphrase: str | None
    chain: tuple[Link, ...]
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return "DataOrder(***)"


class ServerOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The open parts of an order about a whole server."""

    runner: Runner
    engines: dict[str, Engine]

    def __repr__(self) -> str:
        return "ServerOrder(***)"


def open_data_order(order: RunBackup | RunRestore | RunVerification, key: bytes) -> DataOrder:
    """Raises SealedOrderError or BadSettingsError; neither holds a value of the settings."""
    sealed = open_as_worker(order, key, OrderSecrets)
    if sealed.store is None:
        raise BadSettingsError("the order names no store")
    if len(sealed.chain) != len(order.chain):
        raise BadSettingsError("the order holds other keys than its chain has archives")
    return DataOrder(
        runner=_plugin("runner", sealed.runner, _runner.decode),
        engine=_plugin("engine", sealed.engine, _engine.decode),
        engine_kind=str(sealed.engine["kind"]),
        store=paced(_plugin("store", sealed.store, open_store), sealed.pace),
        archive_key=sealed.archive_key,
        passphrase=sealed.passphrase,
        chain=tuple(
            Link(
                store=paced(
                    _plugin("store", secret.store or sealed.store, open_store),
                    secret.pace if secret.store else sealed.pace,
                ),
                prefix=part.prefix,
                archive_key=secret.archive_key,
                manifest_sha256=part.manifest_sha256,
            )
            for part, secret in zip(order.chain, sealed.chain, strict=True)
        ),
        secrets=(
            *([sealed.passphrase] if sealed.passphrase else []),
            *_secrets(sealed.runner, AnyRunner),
            *_secrets(sealed.engine, AnyEngine),
            *_secrets(sealed.store, AnyStore),
            *(one for secret in sealed.chain for one in _secrets(secret.store or {}, AnyStore)),
        ),
    )


def open_server_order(order: TestServer | DiscoverServer | ProbeServer, key: bytes) -> ServerOrder:
    """As `open_data_order`."""
    sealed = open_as_worker(order, key, ServerSecrets)
    return ServerOrder(
        runner=_plugin("runner", sealed.runner, _runner.decode),
        engines={
            name: _plugin("engine", config, _engine.decode)
            for name, config in sealed.engines.items()
        },
    )


def trust_of(keys: str) -> Trust:
    """A platform's public key in hex, or fingerprints as printed, joined by commas."""
    if keys.startswith("SHA256:"):
        return Trust.of(*keys.split(","))
    try:
        return Trust.of(bytes.fromhex(keys))
    except ValueError as error:
        raise InvalidInputError("the order names no platform key to trust") from error


def _plugin(kind: str, config: PluginConfig, decode: Callable[[bytes], _Plugin]) -> _Plugin:
    try:
        return decode(msgspec.json.encode(config))
    except msgspec.ValidationError as error:  # says which field and rule, never the value
        raise BadSettingsError(f"the {kind}'s settings are not valid: {error}") from None


def _secrets(config: PluginConfig, union: Any) -> list[str]:
    schema = schemas_of(union).get(str(config.get("kind")), {})
    return [str(config[name]) for name in secret_fields(schema) if config.get(name)]
