"""Where a store may be: its setting must not lead the platform into its own network."""

from __future__ import annotations

from shared.addresses import AddressForbiddenError, NameUnknownError, reachable
from shared.stores.base import Store, StoreSettingsError, StoreUnreachableError


class EndpointRefusedError(StoreSettingsError):
    """The endpoint's address is one that the platform does not talk to."""

    code = "store.endpoint_refused"
    default_fix = "name the service's own address; ALLOW_LOOPBACK lets it be on this machine"


async def require_permitted(store: Store, *, allow_loopback: bool) -> None:
    """Raise EndpointRefusedError, or StoreUnreachableError for a name that leads nowhere.

    Private networks are where stores live. The S3 client asks for the name again, so this holds
    against a wrong setting; against a name server that lies later, the certificate does.
    """
    place = store.connects_to
    if place is None:
        return
    host, port = place
    try:
        await reachable(host, port, allow_private=True, allow_loopback=allow_loopback)
    except AddressForbiddenError as error:
        raise EndpointRefusedError("the endpoint leads to no address of a store") from error
    except NameUnknownError as error:
        raise StoreUnreachableError("the endpoint's name cannot be resolved") from error
