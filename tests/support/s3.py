"""Two S3 services: rclone (real signatures) and moto (lists unfinished uploads)."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from miniopy_async.api import Minio

from shared.stores import S3

BUCKET = "archives"


class S3Service:
    """A running S3 service with one empty bucket."""

    def __init__(self) -> None:
        self.port = _free_port()
        self.scheme = "http"
        self.process: subprocess.Popen[bytes] | None = None
        self.access_key_id = "AKIDTESTTESTTEST"
        self.secret_access_key = "secret" + secrets.token_hex(8)

    @property
    def endpoint(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def store(self, prefix: str = "", **other: str | bool | int) -> S3:
        """A store in the bucket; `other` replaces fields of its configuration."""
        fields: dict[str, str | bool | int] = {
            "bucket": BUCKET,
            "prefix": prefix,
            "endpoint": self.endpoint,
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "allow_http": self.scheme == "http",
        }
        return S3(**{**fields, **other})  # type: ignore[arg-type]  # the fields are S3's own

    def serve(self, directory: Path, *, secret: str, tls: tuple[Path, Path] | None = None) -> None:
        """Start rclone over a folder, with this secret for our access key.

        `tls` are the files of a certificate and its key.
        """
        if tls:
            self.scheme = "https"
        argv = [
            str(Path(sys.executable).with_name("rclone")),
            *("serve", "s3", "--addr", f"127.0.0.1:{self.port}"),
            *("--vfs-cache-mode", "off", "--config", os.devnull),
            *(("--cert", str(tls[0]), "--key", str(tls[1])) if tls else ()),
            str(directory),
        ]
        # Not in argv, where every user of the machine could read it.
        self.start(argv, {"RCLONE_AUTH_KEY": f'"{self.access_key_id},{secret}"'})

    def start(self, argv: list[str], environment: dict[str, str]) -> None:
        """Start the program and wait until it listens."""
        self.process = subprocess.Popen(
            argv,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            assert self.process.poll() is None, "the S3 service ended at once"
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("the S3 service does not listen")

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextmanager
def rclone_s3(directory: Path, tls: tuple[Path, Path] | None = None) -> Iterator[S3Service]:
    """`rclone serve s3` over a folder: checks every signature; rejects wrong credentials."""
    (directory / BUCKET).mkdir(parents=True, exist_ok=True)
    service = S3Service()
    try:
        service.serve(directory, secret=service.secret_access_key, tls=tls)
        yield service
    finally:
        service.kill()


@contextmanager
def moto_s3() -> Iterator[S3Service]:
    """moto's server: accepts any signature, keeps and lists unfinished multipart uploads."""
    service = S3Service()
    program = str(Path(sys.executable).with_name("moto_server"))
    try:
        service.start([program, "-H", "127.0.0.1", "-p", str(service.port)], {})
        yield service
    finally:
        service.kill()


async def make_bucket(service: S3Service) -> None:
    """moto begins without buckets."""
    async with s3_client(service) as client:
        if not await client.bucket_exists(BUCKET):
            await client.make_bucket(BUCKET)


async def open_uploads(service: S3Service, prefix: str) -> int:
    """How many multipart uploads below `prefix` are neither completed nor aborted."""
    async with s3_client(service) as client:
        listed = await client._list_multipart_uploads(BUCKET, prefix=prefix)
    return len(listed.uploads)


def s3_client(service: S3Service) -> Minio:
    """A client beside the stores under test, to be used as a context manager."""
    return Minio(
        f"127.0.0.1:{service.port}",
        service.access_key_id,
        service.secret_access_key,
        secure=False,
        region="us-east-1",
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
