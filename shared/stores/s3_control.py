"""What obstore cannot do in a bucket: find it, abort uploads, ask for checksums, odd ranges."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from urllib.parse import urlsplit

from shared.stores.base import StoreError, StoreSettingsError, StoreUnreachableError
from shared.stores.s3_client import (
    Connection,
    code_in,
    endpoint_of,
    refusal,
    untrusted_certificate,
)

if TYPE_CHECKING:
    from miniopy_async.api import Minio
    from miniopy_async.datatypes import Upload

# A store that cannot list uploads keeps none we could find.
_NO_LOCK = {
    "ObjectLockConfigurationNotFoundError",
    "ObjectLockConfigurationNotFound",
    "NoSuchObjectLockConfiguration",
    "NotImplemented",
    "MethodNotAllowed",
}
_NOT_THERE = {"NotImplemented", "NoSuchUpload", "MethodNotAllowed"}
P = ParamSpec("P")
R = TypeVar("R")
_TRIES, _AGAIN_S = 4, 0.1  # each wait twice the one before


def _patient(call: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Ask again where the service does not answer well, as obstore does by itself.

    A volume of gigabytes must not be sent anew because one small request was answered 503.
    """

    @wraps(call)
    async def asked(*args: P.args, **named: P.kwargs) -> R:
        for tried in range(_TRIES - 1):
            with suppress(StoreUnreachableError):
                return await call(*args, **named)
            await asyncio.sleep(_AGAIN_S * 2**tried)
        return await call(*args, **named)

    return asked


async def require_bucket(at: Connection) -> None:
    """Raise the likely problem unless the bucket exists and may be seen."""
    async with _control(at) as client:
        exists = await client.bucket_exists(at.bucket)
    if not exists:
        raise StoreSettingsError("the bucket does not exist", fix="create it or correct its name")


async def require_lock(at: Connection) -> None:
    """Raise StoreSettingsError unless the bucket was made with object lock."""
    from miniopy_async.error import S3Error

    async with _control(at) as client:
        try:
            await client.get_object_lock_config(at.bucket)
        except S3Error as error:
            if error.code not in _NO_LOCK:
                raise
            raise StoreSettingsError(
                "the bucket has no object lock",
                fix="make a bucket with object lock, or empty `lock_days`",
            ) from error


@_patient
async def lock(at: Connection, folder: str, mode: str, until: datetime) -> None:
    """Let nobody delete any object under `folder` before `until`."""
    from miniopy_async.retention import Retention

    async with _control(at) as client:
        for item in await client.list_objects(at.bucket, prefix=folder, recursive=True):
            retention = Retention(mode.upper(), until)
            await client.set_object_retention(at.bucket, str(item.object_name), retention)


@_patient
async def delete_versions(at: Connection, path: str) -> None:
    """Delete every version of the object: a plain deletion of a lockable object only hides it."""
    async with _control(at) as client:
        listed = await client.list_objects(at.bucket, prefix=path, include_version=True)
        for item in listed:
            if item.object_name == path:
                await client.remove_object(at.bucket, path, version_id=item.version_id)


@_patient
async def abort(at: Connection, folder: str, before: datetime, *, exact: bool = False) -> int:
    """Abort the uploads under `folder` (or of exactly that object) begun by then; how many."""
    aborted = 0
    async with _control(at) as client:
        for upload in await _open_uploads(client, at.bucket, folder):
            began = upload.initiated_time
            if (exact and upload.object_name != folder) or (began and began > before):
                continue
            await client._abort_multipart_upload(
                at.bucket, upload.object_name, upload.upload_id or ""
            )
            aborted += 1
    return aborted


@_patient
async def size_and_checksum(at: Connection, path: str) -> tuple[int, str | None]:
    """An object's bytes, and the SHA-256 checksum the service keeps of it, in S3's own notation."""
    async with _control(at) as client:
        found = await client.stat_object(
            at.bucket, path, extra_headers={"x-amz-checksum-mode": "ENABLED"}
        )
    headers = {name.lower(): value for name, value in dict(found.metadata or {}).items()}
    return int(found.size or 0), headers.get("x-amz-checksum-sha256") or None


@_patient
async def read_range(at: Connection, path: str, start: int, length: int) -> bytes:
    """A range of an object, believed only if the answer says that it is this range."""
    async with _control(at) as client:
        response = await client.get_object(at.bucket, path, offset=start, length=length)
        async with response:
            says = response.headers.get("Content-Range", "")
            if not says.startswith(f"bytes {start}-{start + length - 1}/"):
                raise StoreError("the S3 service does not answer ranged reads")
            return await response.read()


async def _open_uploads(client: Minio, bucket: str, prefix: str) -> list[Upload]:
    from miniopy_async.error import InvalidResponseError, S3Error

    found: list[Upload] = []
    key_marker: str | None = None
    id_marker: str | None = None
    while True:
        try:
            page = await client._list_multipart_uploads(
                bucket, prefix=prefix, key_marker=key_marker, upload_id_marker=id_marker
            )
        except (S3Error, InvalidResponseError) as error:
            if code_in(error) in _NOT_THERE:
                return found
            raise
        found += page.uploads
        key_marker, id_marker = page.next_key_marker, page.next_upload_id_marker
        if not page.is_truncated or not key_marker:
            return found


@asynccontextmanager
async def _control(at: Connection) -> AsyncIterator[Minio]:
    """miniopy-async's client, trusting what the store's configuration trusts."""
    import aiohttp
    from miniopy_async.api import Minio
    from miniopy_async.error import InvalidResponseError, MinioException, S3Error

    url = urlsplit(endpoint_of(at))
    trust = _trust(at.ca_certificate) if url.scheme == "https" else False
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trust),
        timeout=aiohttp.ClientTimeout(total=60, connect=10),
    ) as session:
        try:
            yield Minio(
                url.netloc,
                at.access_key_id,
                at.secret_access_key,
                secure=url.scheme == "https",
                region=at.region,
                session=session,
            )
        except S3Error as error:
            status = getattr(error.response, "status", None)
            raise refusal(error.code or "", status) from error
        except InvalidResponseError as error:  # some services call their XML text/xml
            raise refusal(code_in(error), error._code) from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise untrusted_certificate() from error
        except (MinioException, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise StoreUnreachableError("the S3 service does not answer") from error


@lru_cache(maxsize=16)
def _trust(ca_certificate: str) -> ssl.SSLContext:
    """Kept, because reading the system's authorities takes longer than a request."""
    return ssl.create_default_context(cadata=ca_certificate or None)
