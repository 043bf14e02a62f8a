"""Where a request comes from: X-Forwarded-For counts only where a trusted proxy has written it."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]
Address: TypeAlias = IPv4Address | IPv6Address


def listed(text: str) -> list[str]:
    """The parts of a comma-separated list."""
    return [part for part in (piece.strip() for piece in text.split(",")) if part]


def networks(text: str | Iterable[str]) -> Networks:
    """Networks as `10.0.0.0/8` or single addresses; raises ValueError."""
    parts = listed(text) if isinstance(text, str) else text
    return tuple(ip_network(part) for part in parts)


def peer(client: str, forwarded: Iterable[str], proxies: Networks) -> str:
    """The address that a request comes from.

    `client` is who connected, `forwarded` the X-Forwarded-For headers in their order. Read from
    the right, each address was written by the hop after it: the first one that is no trusted
    proxy is the peer, and whatever stands left of it is only what that one claims.
    """
    hops = [hop for header in forwarded for hop in listed(header)]
    here = client
    while hops and _is_one_of(here, proxies):
        hop = _plain(hops.pop())
        if hop is None:
            break
        here = hop
    return here


def within(address: str, allowed: Networks) -> bool:
    """Whether an address lies in one of the networks; no network at all allows every address."""
    return not allowed or _is_one_of(address, allowed)


def neighbourhood(address: str) -> str:
    """What is counted as one peer: an address, or the /64 that one IPv6 line commonly has."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False))
    return str(parsed or address)


def _is_one_of(address: str, among: Networks) -> bool:
    parsed = _parsed(address)
    return parsed is not None and any(parsed in network for network in among)


def _parsed(address: str) -> Address | None:
    """The address; an IPv4 one that came over IPv6 is the same one."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed


def _plain(hop: str) -> str | None:
    """A hop without a port; None for what is no address."""
    for candidate in (hop, hop.rpartition(":")[0].strip("[]"), hop.strip("[]")):
        if (parsed := _parsed(candidate)) is not None:
            return str(parsed)
    return None
