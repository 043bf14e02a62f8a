"""A store in an S3 bucket: obstore carries the bytes, miniopy-async lists and aborts uploads."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from shared.stores.base import (
    AccessDeniedError,
    NoSpaceError,
    ObjectDamagedError,
    ObjectExistsError,
    ObjectInfo,
    ObjectNotFoundError,
    Stored,
    StoreError,
    StoreSettingsError,
    StoreUnreachableError,
    key_parts,
    prefix_parts,
    prove,
)

if TYPE_CHECKING:
    from obstore.store import S3Store

_PART = 8 << 20  # S3 allows 10,000 parts: a 4 GiB volume has 512
_PARTS_IN_FLIGHT = 2
_READ = 4 << 20
_CLEANUP_S = 20.0


class S3(
    msgspec.Struct,
    tag="s3",
    tag_field="kind",
    frozen=True,
    forbid_unknown_fields=True,
    kw_only=True,
    dict=True,
):
    """A bucket, or a folder of one, on AWS or anything that speaks S3."""

    bucket: Annotated[
        str, Meta(title="Bucket", pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", max_length=63)
    ]
    access_key_id: Annotated[str, Meta(title="Access key ID", min_length=1, max_length=256)]
    secret_access_key: Annotated[
        str,
        Meta(
            title="Secret access key",
            min_length=1,
            max_length=512,
            extra_json_schema={"writeOnly": True},
        ),
    ]
    endpoint: Annotated[
        str,
        Meta(
            title="Endpoint",
            description="https://host[:port] of the service; empty for AWS",
            pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+/?)?$",
            max_length=300,
        ),
    ] = ""
    region: Annotated[
        str, Meta(title="Region", pattern=r"^[a-z0-9-]{1,64}$", max_length=64)
    ] = "us-east-1"
    prefix: Annotated[
        str, Meta(title="Folder", description="Keep everything under this path", max_length=300)
    ] = ""
    ca_certificate: Annotated[
        str,
        Meta(
            title="CA certificate",
            description="PEM, where the endpoint's certificate is signed by your own authority",
            max_length=65536,
        ),
    ] = ""
    allow_http: Annotated[
        bool,
        Meta(
            title="Allow plain HTTP",
            description="The archive is encrypted, but names, sizes and requests are not",
        ),
    ] = False

    def __post_init__(self) -> None:
        prefix_parts(self.prefix)
        if self.endpoint.startswith("http://") and not self.allow_http:
            raise StoreSettingsError(
                "the endpoint is plain HTTP", fix="use https://, or allow plain HTTP explicitly"
            )

    def __repr__(self) -> str:
        return f"S3(bucket={self.bucket!r}, endpoint={self.endpoint!r}, prefix={self.prefix!r})"

    async def put(self, key: str, chunks: AsyncIterator[bytes]) -> Stored:
        path = self._path(key)
        with _named_errors():
            await self._refuse_existing(path)
        upload = _Upload(self._objects, path)
        try:
            async for chunk in chunks:
                with _named_errors():
                    await upload.write(chunk)
            with _named_errors():
                await upload.close()
                return upload.stored(checked=await self._echoes(path, upload))
        except BaseException:
            await self._clean_up(path)
            raise

    async def get(
        self, key: str, start: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        path = self._path(key)
        size = await self.size(key)
        end = size if length is None else min(size, start + length)
        ahead = self._read_ahead(path, start, end)
        try:
            while start < end:
                with _named_errors():
                    piece = await ahead
                start += len(piece)
                ahead = self._read_ahead(path, start, end)
                yield piece
        finally:
            ahead.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await ahead

    async def size(self, key: str) -> int:
        import obstore  # noqa: PLC0415

        path = self._path(key)
        with _named_errors():
            return int((await obstore.head_async(self._objects, path))["size"])

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        yield ObjectInfo(key="", size=0, modified=datetime.now(UTC))
