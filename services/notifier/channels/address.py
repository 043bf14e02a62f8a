"""Where a channel may connect: the guard against requests into the inner network."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

from services.notifier.channels.base import AddressRefusedError, NotAcceptedError

Addresses: TypeAlias = list[tuple[socket.AddressFamily, str]]

_NAT64 = IPv6Network("64:ff9b::/96")
# Where clouds hand out credentials to whoever asks: no receiver ever lives there.
_METADATA = {ip_address("169.254.169.254"), ip_address("fd00:ec2::254")}


def permitted(text: str, *, allow_private: bool, allow_loopback: bool) -> bool:
    """Whether a channel may connect to the IP address `text`."""
    address = _real(ip_address(text.partition("%")[0]))
    if address.is_loopback:
        return allow_loopback
    if (
        address in _METADATA
        or address.is_multicast
        or address.is_unspecified
        or address.is_reserved
    ):
        return False
    return address.is_global or allow_private


def _real(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address of a transition mechanism leads to."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    tunnelled = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or tunnelled or address


async def resolve(host: str, port: int, *, allow_private: bool, allow_loopback: bool) -> Addresses:
    """The addresses of `host`, all of them permitted; the caller connects to these only.

    Raises AddressRefusedError if a single one is not, NotAcceptedError if there are none.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotAcceptedError("the receiver's name cannot be resolved") from error
    addresses: Addresses = [*dict.fromkeys((family, str(end[0])) for family, *_, end in found)]
    for _, address in addresses:
        if not permitted(address, allow_private=allow_private, allow_loopback=allow_loopback):
            raise AddressRefusedError("the receiver's address is inside a private network")
    return addresses
