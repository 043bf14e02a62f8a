"""Where the platform may connect to when somebody else says where: no way into its own network."""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TypeAlias

from shared.errors import PlatformError

Addresses: TypeAlias = list[tuple[socket.AddressFamily, str]]

_NAT64 = IPv6Network("64:ff9b::/96")
# Where clouds hand out credentials to whoever asks: nothing that is wanted ever lives there.
_METADATA = {
    ip_address(text)
    for text in ("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "192.0.0.192")
}


class AddressForbiddenError(PlatformError):
    """The address is one that the platform does not talk to."""

    code = "address.forbidden"
    status = HTTPStatus.BAD_REQUEST
    default_fix = "name the machine itself, not this one or a service of its network"


class NameUnknownError(PlatformError):
    """The name leads to no address."""

    code = "address.unknown"
    status = HTTPStatus.BAD_GATEWAY
    default_fix = "check the spelling of the host, and the name server"


def permitted(text: str, *, allow_private: bool, allow_loopback: bool) -> bool:
    """Whether the IP address `text` may be connected to."""
    address = _real(ip_address(text.partition("%")[0]))
    if address.is_loopback:
        return allow_loopback
    if (
        address in _METADATA
        or address.is_link_local
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


async def reachable(
    host: str, port: int, *, allow_private: bool, allow_loopback: bool
) -> Addresses:
    """The addresses of `host`, all of them permitted; the caller connects to these only.

    Asking again would let a name server answer differently. Raises AddressForbiddenError if a
    single one is not permitted, NameUnknownError if there are none.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NameUnknownError("the host's name cannot be resolved") from error
    addresses: Addresses = [*dict.fromkeys((family, str(end[0])) for family, *_, end in found)]
    for _, address in addresses:
        if not permitted(address, allow_private=allow_private, allow_loopback=allow_loopback):
            raise AddressForbiddenError("the host's address is not one to connect to")
    return addresses
