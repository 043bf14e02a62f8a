"""The stores: one file per kind, one name in the union."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from shared.stores.base import Store, StoreSettingsError
from shared.stores.local import Local
from shared.stores.s3 import S3

AnyStore: TypeAlias = Local | S3

_decoder: msgspec.json.Decoder[AnyStore] = msgspec.json.Decoder(AnyStore)


def open_store(config: bytes) -> Store:
    """The store a JSON configuration describes; `StoreSettingsError` names the wrong field."""
    try:
        return _decoder.decode(config)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StoreSettingsError(f"the store's configuration is wrong: {error}") from None


__all__ = ["S3", "AnyStore", "Local", "Store", "open_store"]
