"""A store in an S3 bucket: obstore carries the bytes, miniopy-async lists and aborts uploads."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import Meta

from shared.stores import s3_uploads
from shared.stores.base import (
    ObjectDamagedError,
    ObjectExistsError,
    ObjectInfo,
    ObjectNotFoundError,
    Stored,
    StoreError,
    StoreSettingsError,
    prefix_parts,
    prove,
)
from shared.stores.s3_client import named_errors, open_bucket

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
    region: Annotated[str, Meta(title="Region", pattern=r"^[a-z0-9-]{1,64}$", max_length=64)] = (
        "us-east-1"
    )
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
        await self._refuse_existing(path)
        upload = _Upload(self._objects, path)
        try:
            async for chunk in chunks:
                await upload.write(chunk)
            await upload.close()
            return upload.stored(checked=await self._confirms(path, upload))
        except BaseException:
            await self._clean_up(path)
            raise

    async def get(
        self, key: str, start: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        path = self._path(key)
        size = await self.size(key)
        end = size if length is None else min(size, start + length)
        whole = start == 0 and end == size
        ahead = asyncio.ensure_future(self._read(path, start, end, whole=whole))
        try:
            while start < end:
                piece = await ahead
                start += len(piece)
                ahead = asyncio.ensure_future(self._read(path, start, end))
                yield piece
        finally:
            ahead.cancel()
            await asyncio.wait([ahead])

    async def size(self, key: str) -> int:
        return await self._size(self._path(key))

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        import obstore

        prefix_parts(prefix)
        folder = self._path(prefix) if prefix else self.prefix
        own = len(self._path(""))
        listing = obstore.list(self._objects, prefix=folder.rstrip("/") or None)
        while True:
            with named_errors():
                try:
                    batch = await anext(listing)
                except StopAsyncIteration:
                    return
            for found in batch:
                yield ObjectInfo(
                    key=found["path"][own:],
                    size=found["size"],
                    modified=found["last_modified"].astimezone(UTC),
                )

    async def delete(self, key: str) -> None:
        import obstore

        path = self._path(key)
        with suppress(ObjectNotFoundError), named_errors():
            await obstore.delete_async(self._objects, path)

    async def abort_uploads(self, prefix: str, older_than: timedelta) -> int:
        prefix_parts(prefix)
        folder = self._path(prefix.rstrip("/") + "/") if prefix else self._path("")
        return await s3_uploads.abort(self, folder, datetime.now(UTC) - older_than)

    async def test(self) -> None:
        await s3_uploads.require_bucket(self)
        await prove(self)

    async def free_bytes(self) -> int | None:
        return None

    @cached_property
    def _objects(self) -> S3Store:
        return open_bucket(self)

    def _path(self, key: str) -> str:
        """Where a key lies in the bucket; `""` gives the store's own folder with its `/`."""
        if key:
            prefix_parts(key)
        folder = self.prefix.strip("/")
        return f"{folder}/{key}" if folder else key

    async def _size(self, path: str) -> int:
        import obstore

        with named_errors():
            return int((await obstore.head_async(self._objects, path))["size"])

    async def _refuse_existing(self, path: str) -> None:
        with suppress(ObjectNotFoundError):
            await self._size(path)
            raise ObjectExistsError("the store already holds an object of this name")

    async def _read(self, path: str, start: int, end: int, *, whole: bool = False) -> bytes:
        import obstore

        length = min(_READ, end - start)
        if length <= 0:
            return b""
        with named_errors():
            if whole and length == end:  # some stores answer a range of everything with 200
                return bytes(await (await obstore.get_async(self._objects, path)).bytes_async())
            return bytes(
                await obstore.get_range_async(self._objects, path, start=start, length=length)
            )

    async def _confirms(self, path: str, upload: _Upload) -> bool:
        """Whether the store echoes the checksums of the parts; a wrong echo or size is damage.

        Only the checksum of a multipart object counts: the store must have computed that one,
        while some just give back the header that came with a single request.
        """
        if await self._size(path) != upload.size:
            raise ObjectDamagedError("the store holds another number of bytes than was sent")
        echo = await s3_uploads.checksum(self, path)
        if upload.parts < 2 or echo is None:
            return False
        if echo.partition("-")[0] != upload.composite():
            raise ObjectDamagedError("the store's checksum differs from that of the bytes sent")
        return True

    async def _clean_up(self, path: str) -> None:
        """After a failure or a cancellation: no open upload and no object under this name."""
        import obstore

        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(_CLEANUP_S):
                await s3_uploads.abort(self, path, datetime.now(UTC), exact=True)
                with named_errors():
                    await obstore.delete_async(self._objects, path)


class _Upload:
    """One object on its way: parts of a fixed size, a digest of all and one of each part."""

    def __init__(self, objects: S3Store, path: str) -> None:
        import obstore

        self._writer = obstore.open_writer_async(
            objects, path, buffer_size=_PART, max_concurrency=_PARTS_IN_FLIGHT
        )
        self._whole = hashlib.sha256()
        self._part = hashlib.sha256()
        self._part_digests: list[bytes] = []
        self._in_part = 0
        self.size = 0

    @property
    def parts(self) -> int:
        return len(self._part_digests)

    async def write(self, chunk: bytes) -> None:
        await asyncio.to_thread(self._digest, chunk)
        with named_errors():
            await self._writer.write(chunk)

    async def close(self) -> None:
        if self._in_part:
            self._end_part()
        with named_errors():
            await self._writer.close()

    def composite(self) -> str:
        """S3's checksum of a multipart object: the digest of its parts' digests."""
        return base64.b64encode(hashlib.sha256(b"".join(self._part_digests)).digest()).decode()

    def stored(self, *, checked: bool) -> Stored:
        return Stored(size=self.size, sha256=self._whole.hexdigest(), checked=checked)

    def _digest(self, chunk: bytes) -> None:
        self._whole.update(chunk)
        self.size += len(chunk)
        view = memoryview(chunk)
        while view:
            piece = view[: _PART - self._in_part]
            self._part.update(piece)
            self._in_part += len(piece)
            view = view[len(piece) :]
            if self._in_part == _PART:
                self._end_part()

    def _end_part(self) -> None:
        self._part_digests.append(self._part.digest())
        self._part = hashlib.sha256()
        self._in_part = 0
