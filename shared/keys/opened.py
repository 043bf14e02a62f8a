"""Configured servers and stores with their secrets opened, as an order's sealed part holds them."""

from __future__ import annotations

from http import HTTPStatus
from typing import TypeVar

import msgspec

from shared.bus import Bus
from shared.errors import PlatformError
from shared.keys.plugins import open_config
from shared.keys.vault import Vault
from shared.keys.worker import seal_for_worker
from shared.messages.base import Order, checked
from shared.messages.orders import OrderSecrets, ServerSecrets
from shared.messages.settings import ServerSetting, StoreSetting
from shared.messages.values import PluginConfig

_Order = TypeVar("_Order", bound=Order)


class UnknownEndpointError(PlatformError):
    """The server has no engine of that name."""

    code = "server.unknown_endpoint"
    status = HTTPStatus.NOT_FOUND
    default_fix = "choose one of the server's endpoints, or add it to the server"


async def open_server(vault: Vault, server: ServerSetting) -> ServerSecrets:
    """The runner and every engine of a server; raises SealedValueError."""
    return ServerSecrets(
        runner=await open_config(vault, server.subject, "runner", server.runner),
        engines={
            one.name: await open_config(vault, server.subject, f"endpoints.{one.name}", one.engine)
            for one in server.endpoints
        },
    )


async def open_endpoint(vault: Vault, server: ServerSetting, endpoint: str) -> OrderSecrets:
    """The runner and one engine; raises SealedValueError and UnknownEndpointError."""
    for one in server.endpoints:
        if one.name == endpoint:
            path = f"endpoints.{endpoint}"
            return OrderSecrets(
                runner=await open_config(vault, server.subject, "runner", server.runner),
                engine=await open_config(vault, server.subject, path, one.engine),
            )
    raise UnknownEndpointError("the server has no endpoint of the name that was asked for")


async def open_store_config(vault: Vault, store: StoreSetting) -> PluginConfig:
    """The store's configuration, ready for `open_store`; raises SealedValueError."""
    return await open_config(vault, store.subject, "store", store.store)


async def open_passphrase(vault: Vault, store: StoreSetting) -> str | None:
    """What opens new archives of the store, too, if anything does; raises SealedValueError."""
    if store.passphrase is None:
        return None
    return await vault.open(store.passphrase, store.subject, "passphrase")


async def pool_key(bus: Bus, pool: str) -> str | None:
    """The public key that the pool's workers announced, or None before the first has started."""
    entry = await bus.kv("keys").get(f"worker.{checked(pool)}")
    return entry.value.decode() if entry and entry.value else None


def sealed_to(public: str, order: _Order, secrets: OrderSecrets | ServerSecrets) -> _Order:
    """`order` with its secrets sealed to the pool's key; raises SealedOrderError."""
    return msgspec.structs.replace(order, sealed=seal_for_worker(secrets, public, order))
