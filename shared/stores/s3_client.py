"""How an S3 store is reached: endpoint, credentials, trust, and what its errors mean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from shared.stores.base import (
    AccessDeniedError,
    NoSpaceError,
    ObjectNotFoundError,
    StoreError,
    StoreSettingsError,
    StoreUnreachableError,
)

if TYPE_CHECKING:
    from obstore.store import ClientConfig, S3Credential, S3Store

_DENIED = {
    "AccessDenied",
    "AllAccessDisabled",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
}
_FULL = {"InsufficientCapacity", "QuotaExceeded", "XMinioStorageFull", "EntityTooLarge"}
_CODE = re.compile(r"<Code>(\w{1,64})</Code>")
_STATUS = re.compile(r"status(?: code)?:? (\d{3})\b")
# One request waits this long at most; a volume is many requests.
REQUEST_TIMEOUT_S = 60
RETRY_FOR = timedelta(seconds=45)


class Connection(Protocol):
    """The fields of the store's configuration that say how it is reached."""

    @property
    def bucket(self) -> str: ...
    @property
    def access_key_id(self) -> str: ...
    @property
    def secret_access_key(self) -> str: ...
    @property
    def endpoint(self) -> str: ...
    @property
    def region(self) -> str: ...
    @property
    def ca_certificate(self) -> str: ...
    @property
    def allow_http(self) -> bool: ...


def endpoint_of(at: Connection) -> str:
    """The service's URL; AWS's own for the region where none is given."""
    return at.endpoint.rstrip("/") or f"https://s3.{at.region}.amazonaws.com"


def open_bucket(at: Connection) -> S3Store:
    """obstore's client. Nothing is taken from `AWS_...` in the environment."""
    from obstore.store import S3Store

    def credential() -> S3Credential:
        return {
            "access_key_id": at.access_key_id,
            "secret_access_key": at.secret_access_key,
            "token": None,
            "expires_at": None,
        }

    options: ClientConfig = {
        "allow_http": at.allow_http,
        "connect_timeout": "10s",
        "timeout": f"{REQUEST_TIMEOUT_S}s",
    }
    if at.ca_certificate:
        options["root_certificate"] = at.ca_certificate.encode()
    return S3Store(
        at.bucket,
        config={
            "endpoint": endpoint_of(at),
            "region": at.region,
            "checksum_algorithm": "SHA256",
            "virtual_hosted_style_request": False,
        },
        client_options=options,
        retry_config={"max_retries": 5, "retry_timeout": RETRY_FOR},
        credential_provider=credential,
    )


@contextmanager
def named_errors() -> Iterator[None]:
    """Turn what the client raises into a `StoreError` that says what to do."""
    from obstore.exceptions import BaseError

    try:
        yield
    except StoreError:
        raise
    except (BaseError, OSError) as error:
        raise _named(error) from error


def untrusted_certificate() -> StoreError:
    """The service's certificate is not vouched for by anybody we trust."""
    return StoreSettingsError(
        "the S3 service's certificate is not trusted, or is for another name",
        fix="give the certificate of the authority that signed it, or correct the endpoint",
    )


def code_in(error: Exception) -> str:
    """S3's own word for what is wrong, as the answer has it; empty where it says none."""
    found = _CODE.search(str(error))
    return found.group(1) if found else getattr(error, "code", None) or ""


def _named(error: Exception) -> StoreError:
    text = str(error)
    if "InvalidCertificate" in text:
        return untrusted_certificate()
    status = _STATUS.search(text)
    missing = isinstance(error, FileNotFoundError)
    return refusal(
        code_in(error) or ("NoSuchKey" if missing else ""),
        int(status.group(1)) if status else None,
    )


def refusal(code: str, status: int | None) -> StoreError:
    """The error for an S3 error code and HTTP status (None: there was no answer)."""
    if code in _DENIED or status in {401, 403}:
        return AccessDeniedError(f"the S3 service refused the credentials ({code or status})")
    if code in _FULL or status == 507:
        return NoSpaceError(f"the bucket takes no more bytes ({code or status})")
    if code == "NoSuchBucket":
        return StoreSettingsError("the bucket does not exist", fix="create it or correct its name")
    if code in {"NoSuchKey", "NoSuchUpload"} or status == 404:
        return ObjectNotFoundError("no such object in the bucket")
    if status is None or status >= 500 or status == 429:
        return StoreUnreachableError(f"the S3 service does not answer well ({code or status})")
    return StoreError(f"the S3 service refused the request ({code or status})")
