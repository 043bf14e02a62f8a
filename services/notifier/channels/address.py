"""Where a channel may connect: the guard against requests into the inner network."""

from __future__ import annotations

from services.notifier.channels.base import AddressRefusedError, NotAcceptedError
from shared.addresses import Addresses, AddressForbiddenError, NameUnknownError, reachable


async def resolve(host: str, port: int, *, allow_private: bool, allow_loopback: bool) -> Addresses:
    """As `shared.addresses.reachable`; raises AddressRefusedError and NotAcceptedError."""
    try:
        return await reachable(
            host, port, allow_private=allow_private, allow_loopback=allow_loopback
        )
    except AddressForbiddenError as error:
        raise AddressRefusedError("the receiver's address is inside a private network") from error
    except NameUnknownError as error:
        raise NotAcceptedError("the receiver's name cannot be resolved") from error
