"""Stores that run full, refuse, vanish or are tampered with: a clear error, nothing left behind."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shared.stores import Local
from shared.stores.base import (
    AccessDeniedError,
    BadNameError,
    NoSpaceError,
    ObjectDamagedError,
    StoreError,
    StoreSettingsError,
    StoreUnreachableError,
)
from tests.support.faulty_http import Fault, faulty_http
from tests.support.s3 import S3Service, open_uploads, rclone_s3
from tests.support.waiting import eventually

PART = 8 << 20


@pytest.fixture(scope="module")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Service]:
    with rclone_s3(tmp_path_factory.mktemp("s3")) as service:
        yield service


async def megabytes(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(1 << 20)
        await asyncio.sleep(0)


@contextmanager
def little_space(folder: Path) -> Iterator[None]:
    """At most 2 MiB fit: a small tmpfs where we may mount one, else a limit on file sizes."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if (
        os.geteuid() == 0
        and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    ):
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    store = Local(root=str(tmp_path))
    with little_space(tmp_path):
        with pytest.raises(NoSpaceError) as full:
            await store.put("backup/attempt/data.0", megabytes(8))

        assert full.value.fix
        assert [found async for found in store.list("")] == []
        assert await store.abort_uploads("", timedelta(0)) == 0
        await store.put("backup/attempt/small", megabytes(1))


async def test_what_the_disk_cannot_read_is_damaged_and_what_it_cannot_write_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Local(root=str(tmp_path))

    async def content() -> AsyncIterator[bytes]:
        yield b"whole"

    def ill(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    await store.put("a/b", content())
    with monkeypatch.context() as disk:
        disk.setattr(os, "pread", ill)
        with pytest.raises(ObjectDamagedError):
            _ = [piece async for piece in store.get("a/b")]
    for call in ("write", "fsync"):
        with monkeypatch.context() as disk:
            disk.setattr(os, call, ill)
            with pytest.raises(StoreError):
                await store.put("a/c", content())

    assert [one.key async for one in store.list("a")] == ["a/b"]
    assert b"".join([piece async for piece in store.get("a/b")]) == b"whole"


async def test_a_file_that_is_too_large_for_the_limits_is_no_space(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, hard))
    try:
        with pytest.raises(NoSpaceError):
            await Local(root=str(tmp_path)).put("a", megabytes(8))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert list(tmp_path.iterdir()) == []


async def test_a_link_inside_the_folder_is_never_followed(tmp_path: Path) -> None:
    """Abuse case 14."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("theirs")
    (root / "folder").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    store = Local(root=str(root))

    for key in ("folder/secret", "file"):
        with pytest.raises(StoreError):
            await store.size(key)
    with pytest.raises(BadNameError):
        await store.put("folder/new", megabytes(1))
    assert [found.key async for found in store.list("")] == []
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]


async def test_a_missing_folder_is_a_wrong_setting_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreSettingsError):
        await Local(root=str(tmp_path / "unmounted")).test()

    assert not (tmp_path / "unmounted").exists()


async def test_a_killed_writers_temporary_file_is_swept_once_it_is_old(tmp_path: Path) -> None:
    store = Local(root=str(tmp_path))
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / ".data.0.abcdef.part").write_bytes(b"half")

    assert await store.abort_uploads("", timedelta(hours=1)) == 0
    assert await store.abort_uploads("other", timedelta(0)) == 0
    assert await store.abort_uploads("backup", timedelta(0)) == 1
    assert list(tmp_path.iterdir()) == []


async def test_a_folder_swept_away_under_a_writer_is_made_again(tmp_path: Path) -> None:
    store = Local(root=str(tmp_path))

    async def write(number: int) -> None:
        await store.put(f"backup/a{number}/x", megabytes(0))
        await store.delete(f"backup/a{number}/x")

    await asyncio.gather(*(write(number) for number in range(200)))

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong", [{"secret_access_key": "another-secret"}, {"access_key_id": "AKIDWRONGWRONG"}]
)
async def test_wrong_credentials_are_named(rclone: S3Service, wrong: dict[str, str]) -> None:
    store = rclone.store(**wrong)

    for attempt in (
        store.test(),
        store.put("a", megabytes(1)),
        store.put("a", megabytes(20)),
        store.size("a"),
        store.delete("a"),
        anext(aiter(store.list(""))),
    ):
        with pytest.raises(AccessDeniedError) as refused:
            await attempt
        assert store.secret_access_key not in str(refused.value)


async def test_a_missing_bucket_is_a_wrong_setting(rclone: S3Service) -> None:
    store = rclone.store(bucket="no-such-bucket")

    for attempt in (store.test(), store.put("a", megabytes(1)), store.put("a", megabytes(20))):
        with pytest.raises(StoreSettingsError):
            await attempt


async def test_a_service_that_does_not_answer_is_unreachable(rclone: S3Service) -> None:
    store = rclone.store(endpoint="http://127.0.0.1:9")

    with pytest.raises(StoreUnreachableError) as gone:
        await store.test()

    assert gone.value.retryable


def own_authority(folder: Path) -> tuple[Path, Path, Path]:
    """An authority's certificate, and a certificate it signed for 127.0.0.1 with its key."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "own authority")])
    host = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)

    def signed(name: x509.Name, public: ec.EllipticCurvePublicKey, *, ca: bool) -> bytes:
        builder = (
            x509.CertificateBuilder(authority, name, public, x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            address = x509.IPAddress(ip_address("127.0.0.1"))
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        certificate = builder.sign(authority_key, hashes.SHA256())
        return certificate.public_bytes(serialization.Encoding.PEM)

    paths = folder / "authority.pem", folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(signed(authority, authority_key.public_key(), ca=True))
    paths[1].write_bytes(signed(host, key.public_key(), ca=False))
    paths[2].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


async def test_a_service_is_believed_only_with_a_certificate_that_is_trusted(
    tmp_path: Path,
) -> None:
    authority, certificate, key = own_authority(tmp_path)
    with rclone_s3(tmp_path / "s3", tls=(certificate, key)) as service:
        trusting = service.store(ca_certificate=authority.read_text())

        await trusting.test()
        await trusting.put("large", megabytes(20))
        assert await trusting.size("large") == 20 << 20
        for attempt in (service.store().test(), service.store().size("large")):
            with pytest.raises(StoreSettingsError, match="certificate"):
                await attempt


async def test_credentials_lost_in_the_middle_end_the_write(tmp_path: Path) -> None:
    with rclone_s3(tmp_path / "s3") as service:
        store = service.store()
        lost = asyncio.Event()

        async def source() -> AsyncIterator[bytes]:
            async for piece in megabytes(20):
                yield piece
            service.kill()
            service.serve(tmp_path / "s3", secret="rotated-by-somebody")
            lost.set()
            async for piece in megabytes(40):
                yield piece

        with pytest.raises(AccessDeniedError):
            await store.put("backup/data.0", source())

        assert lost.is_set()
        now = service.store(secret_access_key="rotated-by-somebody")
        assert "backup/data.0" not in {found.key async for found in now.list("")}


async def test_a_cancelled_write_leaves_no_open_upload(moto: S3Service) -> None:
    store = moto.store(prefix="cancelled")
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        async for piece in megabytes(20):
            yield piece
        begun.set()
        await asyncio.Event().wait()

    writing = asyncio.create_task(store.put("backup/data.0", endless()))
    await begun.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert await store.abort_uploads("", timedelta(0)) == 0
    assert [found async for found in store.list("")] == []


async def test_the_uploads_of_a_killed_writer_are_found_and_aborted(moto: S3Service) -> None:
    import obstore

    store, other = moto.store(prefix="killed"), moto.store(prefix="killed2")
    writer = obstore.open_writer_async(store._objects, "killed/b1/data.0", buffer_size=PART)
    for _ in range(3):
        await writer.write(bytes(PART))

    await eventually(lambda: open_uploads(moto, "killed/"))
    assert await other.abort_uploads("", timedelta(0)) == 0
    assert await store.abort_uploads("b2", timedelta(0)) == 0
    assert await open_uploads(moto, "killed/") == 1

    async def cleared() -> bool:
        with suppress(StoreUnreachableError):  # moto answers 500 while a last part is on its way
            await store.abort_uploads("b1", timedelta(0))
        return not await open_uploads(moto, "killed/")

    await eventually(cleared)
    assert await store.abort_uploads("", timedelta(0)) == 0


async def test_the_checksum_of_the_parts_is_compared_with_the_stores(moto: S3Service) -> None:
    store = moto.store(prefix="checked")

    several = await store.put("several", megabytes(20))
    single = await store.put("single", megabytes(1))

    assert several.checked
    assert not single.checked


async def test_who_calls_a_range_200_is_asked_for_each_range_once(
    rclone: S3Service, tmp_path: Path
) -> None:
    """Only the first answer has to show what kind of service it is."""
    async with faulty_http(rclone.port) as passing:
        store = rclone.store(f"of-{tmp_path.name}", endpoint=passing.url)
        await store.put("three", megabytes(3 * PART >> 20))
        passing.spoil(Fault(method="GET", asking="range: bytes"))  # which changes nothing

        found = [piece async for piece in store.get("three")]

    assert b"".join(found) == bytes(3 * PART)
    assert passing.spoilt == 1 + len(found) == 4
