"""An S3 service that answers ill: the right result in the end, or an error that says so."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from shared.stores import S3, s3_client
from shared.stores.base import ObjectDamagedError, StoreError, StoreUnreachableError
from tests.support.faulty_http import Fault, FaultyHttp, faulty_http
from tests.support.s3 import S3Service, open_uploads

SMALL = random.Random(1).randbytes(65_537)
LARGE = random.Random(2).randbytes((9 << 20) + 1)  # two parts, and two ranges
SIZES = pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
WRONG = '"00000000000000000000000000000000"'
PATIENCE_S = 60.0


@pytest.fixture
async def proxy(moto: S3Service) -> AsyncIterator[FaultyHttp]:
    async with faulty_http(moto.port) as passing:
        yield passing


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    return f"of-{tmp_path.name}"


@pytest.fixture
def well(moto: S3Service, prefix: str) -> S3:
    """The same store, with nothing in between."""
    return moto.store(prefix)


@pytest.fixture
def store(moto: S3Service, proxy: FaultyHttp, prefix: str) -> S3:
    return moto.store(prefix, endpoint=proxy.url)


@pytest.fixture
def nothing_is_left(moto: S3Service, well: S3, prefix: str) -> Callable[[], Awaitable[bool]]:
    """Whether the bucket holds no object and no open upload."""

    async def looked() -> bool:
        return await keys(well) == [] and await open_uploads(moto, f"{well.prefix}/") == 0

    return looked


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of no use to wait for what never gets better."""
    monkeypatch.setattr(s3_client, "RETRY_FOR", timedelta(seconds=0.3))
    monkeypatch.setattr(s3_client, "REQUEST_TIMEOUT_S", 1)


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(data), 1 << 20):
        yield data[at : at + (1 << 20)]


async def read(store: S3) -> tuple[bytes, StoreError | None]:
    """What came, and how it ended."""
    came = b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for piece in store.get("a/b"):
                came += piece
    except StoreError as error:
        return came, error
    return came, None


async def keys(store: S3) -> list[str]:
    async with asyncio.timeout(PATIENCE_S):
        return sorted([found.key async for found in store.list("")])


async def put(store: S3, data: bytes) -> StoreError | None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            stored = await store.put("a/b", pieces(data))
    except StoreError as error:
        return error
    assert stored.size == len(data)
    return None


PASSING = {
    "500": Fault(method="", status=500, times=2),
    "503": Fault(method="", status=503, times=2),
    "late": Fault(method="", delay_s=0.3, times=2),
    "lost": Fault(method="", swallow=True, times=1),
}
LASTING = {
    "500": Fault(method="", status=500),
    "503": Fault(method="", status=503),
    "slow": Fault(method="", delay_s=30.0),
    "lost": Fault(method="", swallow=True),
}
SHORT = {
    "reset": Fault(method="GET", keep=1000, reset=True),
    "closed": Fault(method="GET", keep=1000),
    "closed at once": Fault(method="GET", keep=0),
}
UNTOLD = {
    "shorter": Fault(method="GET", keep=1000, told=True),
    "empty": Fault(method="GET", keep=0, told=True),
}


def each(faults: dict[str, Fault], *methods: str) -> pytest.MarkDecorator:
    """A test with each of the faults at requests of each of these methods."""
    return pytest.mark.parametrize(
        "fault",
        [
            pytest.param(of(fault, method), id=f"{name} {method}")
            for name, fault in faults.items()
            for method in methods
        ],
    )


def of(fault: Fault, method: str, times: int | None = None) -> Fault:
    return msgspec.structs.replace(fault, method=method, times=times or fault.times)


@SIZES
@each(PASSING, "GET", "HEAD")
async def test_a_read_outlasts_a_passing_fault(
    store: S3, well: S3, proxy: FaultyHttp, data: bytes, fault: Fault
) -> None:
    assert await put(well, data) is None
    proxy.spoil(fault)

    assert await read(store) == (data, None)
    assert proxy.spoilt


@SIZES
@each(LASTING, "GET", "HEAD")
@pytest.mark.usefixtures("impatient")
async def test_a_read_ends_as_unreachable_where_a_fault_lasts(
    store: S3, well: S3, proxy: FaultyHttp, data: bytes, fault: Fault
) -> None:
    assert await put(well, data) is None
    proxy.spoil(fault)

    came, error = await read(store)

    assert came == b""
    assert isinstance(error, StoreUnreachableError)
    assert error.retryable


@SIZES
@pytest.mark.parametrize("name", [*SHORT, *UNTOLD])
@pytest.mark.usefixtures("impatient")
async def test_an_answer_that_is_always_short_is_never_taken_for_the_object(
    store: S3, well: S3, proxy: FaultyHttp, data: bytes, name: str
) -> None:
    assert await put(well, data) is None
    proxy.spoil({**SHORT, **UNTOLD}[name])

    came, error = await read(store)

    assert isinstance(error, StoreUnreachableError)
    assert error.retryable
    assert data.startswith(came)


@SIZES
@pytest.mark.parametrize("name", [*SHORT, *UNTOLD])
async def test_an_answer_that_is_short_once_costs_no_byte(
    store: S3, well: S3, proxy: FaultyHttp, data: bytes, name: str
) -> None:
    assert await put(well, data) is None
    proxy.spoil(of({**SHORT, **UNTOLD}[name], "GET", times=1))

    came, error = await read(store)

    assert data.startswith(came)
    assert came == data if error is None else error.retryable


@SIZES
async def test_another_etag_changes_no_byte_that_is_read(
    store: S3, well: S3, proxy: FaultyHttp, data: bytes
) -> None:
    assert await put(well, data) is None
    proxy.spoil(Fault(method="GET", headers={"ETag": WRONG}))

    assert await read(store) == (data, None)


@SIZES
@each(PASSING, "PUT|POST", "HEAD")
async def test_a_write_outlasts_a_passing_fault(
    store: S3, well: S3, proxy: FaultyHttp, data: bytes, fault: Fault
) -> None:
    proxy.spoil(fault)

    assert await put(store, data) is None
    assert proxy.spoilt
    assert await read(well) == (data, None)


async def test_a_question_after_a_write_outlasts_a_passing_fault(
    store: S3, well: S3, proxy: FaultyHttp
) -> None:
    proxy.spoil(Fault(method="HEAD", asking="x-amz-checksum-mode", status=503, times=2))

    assert await put(store, LARGE) is None
    assert proxy.spoilt == 2
    assert await read(well) == (LARGE, None)


@SIZES
@pytest.mark.parametrize("name", LASTING)
@pytest.mark.usefixtures("impatient")
async def test_a_write_that_fails_for_good_leaves_nothing(
    store: S3,
    proxy: FaultyHttp,
    data: bytes,
    name: str,
    nothing_is_left: Callable[[], Awaitable[bool]],
) -> None:
    proxy.spoil(of(LASTING[name], "PUT|POST"))

    error = await put(store, data)

    assert isinstance(error, StoreUnreachableError)
    assert error.retryable
    assert await nothing_is_left()


@pytest.mark.parametrize("times", [1, None], ids=["once", "always"])
@pytest.mark.usefixtures("impatient")
async def test_a_completion_whose_answer_is_lost_is_complete_if_the_store_vouches_for_it(
    moto: S3Service, store: S3, well: S3, proxy: FaultyHttp, times: int | None
) -> None:
    proxy.spoil(Fault(method="POST", target="uploadId=", swallow=True, times=times))

    assert await put(store, LARGE) is None

    assert proxy.spoilt
    assert await read(well) == (LARGE, None)
    assert await open_uploads(moto, f"{well.prefix}/") == 0


@pytest.mark.parametrize("echoes", ["", "AAAA-2"])
@pytest.mark.usefixtures("impatient")
async def test_a_lost_completion_is_not_believed_without_the_right_checksum(
    store: S3, proxy: FaultyHttp, echoes: str, nothing_is_left: Callable[[], Awaitable[bool]]
) -> None:
    proxy.spoil(
        Fault(method="POST", target="uploadId=", swallow=True),
        Fault(method="HEAD", headers={"x-amz-checksum-sha256": echoes}),
    )

    error = await put(store, LARGE)

    assert isinstance(error, ObjectDamagedError if echoes else StoreUnreachableError)
    assert await nothing_is_left()
    proxy.spoil()
    assert await put(store, LARGE) is None


@pytest.mark.usefixtures("impatient")
async def test_an_upload_that_somebody_aborted_is_no_object(
    store: S3, well: S3, proxy: FaultyHttp, nothing_is_left: Callable[[], Awaitable[bool]]
) -> None:
    proxy.spoil(Fault(method="POST", target="uploadId=", status=500))

    async def until_aborted() -> AsyncIterator[bytes]:
        async for piece in pieces(LARGE):
            yield piece
        await well.abort_uploads("", timedelta(0))

    with pytest.raises(StoreUnreachableError):
        async with asyncio.timeout(PATIENCE_S):
            await store.put("a/b", until_aborted())
    assert await nothing_is_left()


async def test_parts_with_another_etag_make_no_object(
    store: S3, proxy: FaultyHttp, nothing_is_left: Callable[[], Awaitable[bool]]
) -> None:
    proxy.spoil(Fault(method="PUT", target="partNumber=1", headers={"ETag": WRONG}))

    assert await put(store, LARGE) is not None
    assert await nothing_is_left()


async def test_another_checksum_or_size_of_what_was_written_is_damage(
    store: S3, proxy: FaultyHttp, nothing_is_left: Callable[[], Awaitable[bool]]
) -> None:
    for headers in ({"x-amz-checksum-sha256": "AAAA-2"}, {"Content-Length": "77"}):
        proxy.spoil(Fault(method="HEAD", headers=headers))

        assert isinstance(await put(store, LARGE), ObjectDamagedError)
        assert await nothing_is_left()


@pytest.mark.parametrize("name", PASSING)
async def test_a_listing_and_a_deletion_outlast_a_passing_fault(
    store: S3, well: S3, proxy: FaultyHttp, name: str
) -> None:
    assert await put(well, SMALL) is None

    proxy.spoil(of(PASSING[name], "GET"))
    assert await keys(store) == ["a/b"]
    proxy.spoil(of(PASSING[name], "DELETE|POST"))
    await store.delete("a/b")

    assert proxy.spoilt >= 2
    assert await keys(well) == []


@pytest.mark.parametrize("name", LASTING)
@pytest.mark.usefixtures("impatient")
async def test_a_listing_and_a_deletion_end_as_unreachable_where_a_fault_lasts(
    store: S3, well: S3, proxy: FaultyHttp, name: str
) -> None:
    assert await put(well, SMALL) is None
    proxy.spoil(of(LASTING[name], "GET|DELETE|POST"))

    with pytest.raises(StoreUnreachableError):
        await keys(store)
    with pytest.raises(StoreUnreachableError):
        async with asyncio.timeout(PATIENCE_S):
            await store.delete("a/b")


@pytest.mark.parametrize("keep", [0, 150, 400])
@pytest.mark.parametrize("told", [False, True], ids=["untold", "told"])
@pytest.mark.usefixtures("impatient")
async def test_half_a_listing_is_none(
    store: S3, well: S3, proxy: FaultyHttp, keep: int, told: bool
) -> None:
    assert await put(well, SMALL) is None
    proxy.spoil(Fault(method="GET", keep=keep, told=told))

    with pytest.raises(StoreUnreachableError):
        await keys(store)
