"""A store in an S3 bucket: obstore carries the bytes, miniopy-async lists and aborts uploads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from shared.ending import in_time
from shared.stores import s3_control
from shared.stores.base import (
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
from shared.stores.s3_client import named_errors, open_bucket
from shared.stores.s3_upload import Upload

if TYPE_CHECKING:
    from obstore.store import S3Store

_READ = 8 << 20
_CLEANUP_S = 20.0
_ABORT_TRIES, _ABORT_EVERY_S = 5, 0.2


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

    label: ClassVar[str] = "S3 bucket"

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
    lock_days: Annotated[
        int,
        Meta(
            title="Lock for days",
            description="Verified backups cannot be deleted for so long, by nobody; the bucket "
            "must have object lock; 0: no lock",
            ge=0,
            le=36_500,
        ),
    ] = 0
    lock_mode: Annotated[
        Literal["governance", "compliance"],
        Meta(
            title="Lock mode",
            description="`governance` is lifted by who has that right in S3, `compliance` never",
        ),
    ] = "governance"
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
        upload = Upload(self._objects, path)
        try:
            async for chunk in chunks:
                await upload.write(chunk)
            return upload.stored(checked=await self._completed(path, upload))
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
            await asyncio.gather(ahead, return_exceptions=True)

    async def size(self, key: str) -> int:
        return await self._size(self._path(key))

    async def list(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        import obstore

        own = len(self._folder(""))
        listing = obstore.list(self._objects, prefix=self._folder(prefix) or None)
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
        if self.lock_days:
            await s3_control.delete_versions(self, path)
            return
        with suppress(ObjectNotFoundError), named_errors():
            await obstore.delete_async(self._objects, path)

    async def lock(self, prefix: str) -> datetime | None:
        if not self.lock_days:
            return None
        until = datetime.now(UTC) + timedelta(days=self.lock_days)
        await s3_control.lock(self, self._folder(prefix), self.lock_mode, until)
        return until

    async def abort_uploads(self, prefix: str, older_than: timedelta) -> int:
        before = datetime.now(UTC) - older_than
        return await s3_control.abort(self, self._folder(prefix), before)

    async def test(self) -> None:
        await s3_control.require_bucket(self)
        if self.lock_days:
            await s3_control.require_lock(self)
        await prove(self)

    @property
    def connects_to(self) -> tuple[str, int] | None:
        url = urlsplit(self.endpoint)
        if url.hostname is None:
            return None
        return url.hostname, url.port or (443 if url.scheme == "https" else 80)

    async def free_bytes(self) -> int | None:
        return None

    @cached_property
    def _objects(self) -> S3Store:
        return open_bucket(self)

    @cached_property
    def _calls_ranges_200(self) -> asyncio.Event:
        """Set once the service sent the range that was asked for, but called it 200, not 206."""
        return asyncio.Event()

    def _path(self, key: str) -> str:
        """Where an object lies in the bucket."""
        key_parts(key)
        return self._folder("") + key

    def _folder(self, prefix: str) -> str:
        """Where a folder lies in the bucket: empty, or with a `/` at its end."""
        return "".join(f"{part}/" for part in (*prefix_parts(self.prefix), *prefix_parts(prefix)))

    async def _size(self, path: str) -> int:
        import obstore

        with named_errors():
            return int((await obstore.head_async(self._objects, path))["size"])

    async def _refuse_existing(self, path: str) -> None:
        with suppress(ObjectNotFoundError):
            await self._size(path)
            raise ObjectExistsError("the store already holds an object of this name")

    async def _read(self, path: str, start: int, end: int, *, whole: bool = False) -> bytes:
        """The next piece, never a shorter one: some proxies end an answer early and call it all."""
        length = min(_READ, end - start)
        if length <= 0:
            return b""
        piece = await self._piece(path, start, length, whole=whole and length == end)
        if len(piece) != length:
            raise StoreUnreachableError("the S3 service sent another number of bytes than it said")
        return piece

    async def _piece(self, path: str, start: int, length: int, *, whole: bool) -> bytes:
        import obstore
        from obstore.exceptions import GenericError

        with named_errors():
            if whole:
                return bytes(await (await obstore.get_async(self._objects, path)).bytes_async())
            if not self._calls_ranges_200.is_set():
                asked = obstore.get_range_async(self._objects, path, start=start, length=length)
                try:
                    return bytes(await asked)
                except GenericError as error:
                    if "NotPartial" not in str(error):
                        raise
                    self._calls_ranges_200.set()
        return await s3_control.read_range(self, path, start, length)

    async def _completed(self, path: str, upload: Upload) -> bool:
        """Whether the store vouches for the bytes; it must, where it did not say it has them."""
        said = await upload.close()
        try:
            checked = await self._confirms(path, upload)
        except ObjectNotFoundError as error:
            raise StoreUnreachableError("the S3 service did not complete the object") from error
        if not said and not checked:
            raise StoreUnreachableError("the S3 service did not say whether the object is complete")
        return checked

    async def _confirms(self, path: str, upload: Upload) -> bool:
        """Whether the store echoes the checksums of the parts; a wrong echo or size is damage.

        Only the checksum of a multipart object counts: the store must have computed that one,
        while some just give back the header that came with a single request.
        """
        size, echo = await s3_control.size_and_checksum(self, path)
        if size != upload.size:
            raise ObjectDamagedError("the store holds another number of bytes than was sent")
        if upload.parts < 2 or echo is None:
            return False
        if echo.partition("-")[0] != upload.composite():
            raise ObjectDamagedError("the store's checksum differs from that of the bytes sent")
        return True

    async def _clean_up(self, path: str) -> None:
        """After a failure or a cancellation: no open upload and no object under this name."""
        with suppress(StoreError, TimeoutError):
            await in_time(self._removed(path), _CLEANUP_S)

    async def _aborted(self, path: str) -> None:
        """Until none is open: a part that was on its way can keep an upload, or bring it back."""
        for left in reversed(range(_ABORT_TRIES)):
            try:
                if not await s3_control.abort(self, path, datetime.now(UTC), exact=True):
                    return
            except StoreError:
                if not left:
                    raise
            await asyncio.sleep(_ABORT_EVERY_S)

    async def _removed(self, path: str) -> None:
        import obstore

        await self._aborted(path)
        with named_errors():
            await obstore.delete_async(self._objects, path)
