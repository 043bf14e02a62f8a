"""The object that tells a store from an empty folder where the store is not mounted."""

from __future__ import annotations

from http import HTTPStatus

from shared.stores.base import ObjectNotFoundError, Store, StoreError

MARKERS = "holdfast-store"
"""The folder of the objects by which a store is known again."""


class NotMountedError(StoreError):
    """What answers is not the store that was written to; nothing there was judged or deleted."""

    code = "store.not_mounted"
    status = HTTPStatus.SERVICE_UNAVAILABLE
    retryable = True


def marker_key(store_id: str) -> str:
    """The marker's object. Two settings of one place have one each."""
    return f"{MARKERS}/{store_id}"


async def require_marked(store: Store, store_id: str) -> None:
    """Raise NotMountedError unless the marker stands there."""
    try:
        await store.size(marker_key(store_id))
    except ObjectNotFoundError as error:
        raise NotMountedError(
            f"the store does not hold `{marker_key(store_id)}`",
            fix="mount the store where its settings say; if it is there, create that object anew",
        ) from error
