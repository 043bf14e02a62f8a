"""Connections only to addresses that were checked: a second look-up could answer otherwise."""

from __future__ import annotations

import socket

from aiohttp.abc import AbstractResolver, ResolveResult

from shared.addresses import Addresses


class Pinned(AbstractResolver):
    """Answers every name with the addresses it was made with."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=own_family,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for own_family, address in self._addresses
            if family in {socket.AF_UNSPEC, own_family}
        ]

    async def close(self) -> None:
        """Nothing is held."""
