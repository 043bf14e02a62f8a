"""Rows of the read model as the settings they were projected from."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Row

from shared.keys.sealed import Sealed
from shared.messages.settings import PlatformSetting, ServerSetting, StoreSetting
from shared.messages.values import AuditHandover, Endpoint


def server_of(row: Row[Any]) -> ServerSetting:
    """A row of `servers`; `id`, `at` and `actor` of the message are not kept there."""
    return ServerSetting(
        key=row.id,
        name=row.name,
        environment=row.environment,
        pool=row.pool,
        runner=row.runner,
        endpoints=msgspec.convert(row.endpoints, list[Endpoint]),
        run_limit=row.run_limit,
        group_ids=row.group_ids,
    )


def store_of(row: Row[Any]) -> StoreSetting:
    """A row of `stores`."""
    return StoreSetting(
        key=row.id,
        name=row.name,
        tier=row.tier,
        region=row.region,
        quota_bytes=row.quota_bytes,
        run_limit=row.run_limit or 0,
        upload_bytes_s=row.upload_bytes_s,
        download_bytes_s=row.download_bytes_s,
        passphrase=Sealed(**row.passphrase) if row.passphrase else None,
        store=row.store,
    )


def platform_of(row: Row[Any]) -> PlatformSetting:
    """The row of `platform`."""
    handovers = msgspec.convert(row.setting.get("handovers", []), list[AuditHandover])
    return PlatformSetting(key=row.id, **row.setting | {"handovers": handovers})
