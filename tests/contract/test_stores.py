"""What every store promises, over every kind of store."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from shared.messages.values import Pace
from shared.stores import AnyStore, Local, Store, open_store
from shared.stores.base import (
    BadNameError,
    ObjectExistsError,
    ObjectNotFoundError,
    StoreError,
    StoreSettingsError,
)
from shared.stores.paced import PacedStore, paced
from tests.support.s3 import S3Service, rclone_s3

SIZES = (0, 1, 65_537, (4 << 20) + 1, 8 << 20, (17 << 20) + 3)
BAD_KEYS = (
    *("", "/", "/etc/passwd", "a/../b", "..", ".", "a/./b", "a//b", "a/", "a\x00b", "a\nb", "é"),
    *(".hidden", "a/.b.part", "a\\..\\b", "~", "$(id)", "a b", "a" * 300, "x/" * 460 + "x"),
)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Service]:
    with rclone_s3(tmp_path_factory.mktemp("s3")) as service:
        yield service


def local_store(tmp_path: Path, _s3: Callable[[], S3Service]) -> Store:
    return Local(root=str(tmp_path))


def s3_store(tmp_path: Path, s3: Callable[[], S3Service]) -> Store:
    return s3().store(prefix=f"of-{tmp_path.name}")


def paced_store(tmp_path: Path, _s3: Callable[[], S3Service]) -> Store:
    pace = Pace(store_id=tmp_path.name, upload_bytes_s=1 << 40, download_bytes_s=1 << 40)
    return paced(Local(root=str(tmp_path)), pace)


@pytest.fixture(params=[local_store, s3_store, paced_store])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    made: Store = request.param(tmp_path, lambda: request.getfixturevalue("s3"))
    return made


async def pieces(data: bytes, size: int = 700_001) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


async def read(store: Store, key: str, start: int = 0, length: int | None = None) -> bytes:
    return b"".join([piece async for piece in store.get(key, start, length)])


async def keys(store: Store, prefix: str = "") -> list[str]:
    return sorted([found.key async for found in store.list(prefix)])


@pytest.mark.parametrize("size", SIZES)
async def test_an_object_comes_back_as_it_was_written(store: Store, size: int) -> None:
    data = random.Random(size).randbytes(size)

    stored = await store.put("backup/attempt/data.0", pieces(data))

    assert (stored.size, stored.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert await store.size("backup/attempt/data.0") == size
    assert await read(store, "backup/attempt/data.0") == data


async def test_a_range_gives_exactly_what_lies_in_it(store: Store) -> None:
    data = random.Random(1).randbytes((4 << 20) + 100)
    await store.put("a", pieces(data))

    for start, length in [(0, 1), (5, 10), (4 << 20, 100), (4 << 20, 500), (0, len(data) - 1)]:
        assert await read(store, "a", start, length) == data[start : start + length]
    assert await read(store, "a", 3 << 20) == data[3 << 20 :]
    assert await read(store, "a", len(data)) == b""
    assert await read(store, "a", len(data) + 5, 5) == b""
    assert await read(store, "a", 7, 0) == b""


async def test_a_name_is_written_once(store: Store) -> None:
    await store.put("once", pieces(b"first"))

    with pytest.raises(ObjectExistsError):
        await store.put("once", pieces(b"second"))

    assert await read(store, "once") == b"first"


async def test_what_is_not_there_is_not_found(store: Store) -> None:
    with pytest.raises(ObjectNotFoundError):
        await store.size("no/such/object")
    with pytest.raises(ObjectNotFoundError):
        await read(store, "no/such/object")
    assert await keys(store, "no/such") == []


async def test_deleting_is_idempotent(store: Store) -> None:
    await store.put("a/b", pieces(b"x"))

    await store.delete("a/b")
    await store.delete("a/b")

    assert await keys(store) == []


async def test_a_listing_holds_every_object_of_the_folder_and_no_other(store: Store) -> None:
    for key in ("b1/a1/data.0", "b1/a1/manifest", "b1/a2/manifest", "b10/a1/manifest"):
        await store.put(key, pieces(key.encode()))

    assert await keys(store, "b1/a1") == ["b1/a1/data.0", "b1/a1/manifest"]
    assert await keys(store, "b1/") == ["b1/a1/data.0", "b1/a1/manifest", "b1/a2/manifest"]
    found = {one.key: one async for one in store.list("")}
    assert len(found) == 4
    assert found["b10/a1/manifest"].size == len("b10/a1/manifest")
    assert found["b10/a1/manifest"].modified.utcoffset() == timedelta(0)


@pytest.mark.parametrize("size", [10, 20 << 20])
async def test_a_source_that_fails_leaves_nothing(store: Store, size: int) -> None:
    async def failing() -> AsyncIterator[bytes]:
        async for piece in pieces(bytes(size)):
            yield piece
        raise RuntimeError("the dump tool was killed")

    with pytest.raises(RuntimeError, match="killed"):
        await store.put("a/b", failing())

    assert await keys(store) == []
    assert await store.abort_uploads("", timedelta(0)) == 0


async def test_a_cancelled_write_leaves_nothing(store: Store) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        for count in range(1_000_000):
            if count == 20:
                begun.set()
            yield bytes(1 << 20)
            await asyncio.sleep(0)

    writing = asyncio.create_task(store.put("a/b", endless()))
    await begun.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert await keys(store) == []
    assert await store.abort_uploads("", timedelta(0)) == 0


async def test_nothing_is_visible_before_the_end(store: Store) -> None:
    seen: list[list[str]] = []

    async def looking() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(1 << 20)
            seen.append(await keys(store))

    await store.put("a", looking())

    assert seen == [[], [], []]
    assert await keys(store) == ["a"]


@pytest.mark.parametrize("key", BAD_KEYS)
async def test_a_name_that_could_leave_the_store_is_refused_everywhere(
    store: Store, key: str
) -> None:
    """Abuse case 14."""
    for attempt in (
        lambda: store.put(key, pieces(b"x")),
        lambda: read(store, key),
        lambda: store.size(key),
        lambda: store.delete(key),
    ):
        with pytest.raises(BadNameError):
            await attempt()


@pytest.mark.parametrize("prefix", [key for key in BAD_KEYS if key not in ("", "a/")])
async def test_a_folder_that_could_leave_the_store_is_refused(store: Store, prefix: str) -> None:
    with pytest.raises(BadNameError):
        await keys(store, prefix)
    with pytest.raises(BadNameError):
        await store.abort_uploads(prefix, timedelta(0))


async def test_a_store_proves_itself_and_leaves_nothing(store: Store) -> None:
    await store.test()

    assert await keys(store) == []


async def test_free_space_is_a_number_or_unknown(store: Store) -> None:
    assert await store.lock("") is None  # nothing in its settings says so
    free = await store.free_bytes()

    assert free is None or free > 0


def test_a_configuration_comes_back_from_json_as_the_same_store(store: Store) -> None:
    store = store.inner if isinstance(store, PacedStore) else store
    assert isinstance(store, AnyStore)

    assert open_store(msgspec.json.encode(store)) == store


@pytest.mark.parametrize(
    "config",
    [
        b'{"kind":"ftp"}',
        b'{"kind":"local"}',
        b'{"kind":"local","root":"relative"}',
        b'{"kind":"local","root":"/x","colour":"red"}',
        b'{"kind":"s3","bucket":"ok-bucket","access_key_id":"a","secret_access_key":"b",'
        b'"endpoint":"http://127.0.0.1:1"}',
        b'{"kind":"s3","bucket":"ok-bucket","access_key_id":"a","secret_access_key":"b",'
        b'"prefix":"../up"}',
        b"not json",
    ],
)
def test_a_wrong_configuration_is_refused(config: bytes) -> None:
    with pytest.raises(StoreError) as refused:
        open_store(config)

    assert isinstance(refused.value, StoreSettingsError | BadNameError)
    assert refused.value.cause


def test_a_secret_is_never_shown_and_marked_in_the_schema() -> None:
    service = S3Service()
    store = service.store()

    assert service.secret_access_key not in repr(store) + str(store)
    _, schemas = msgspec.json.schema_components([AnyStore])
    marked = {
        field
        for schema in schemas.values()
        for field, about in schema["properties"].items()
        if about.get("writeOnly")
    }
    assert marked == {"secret_access_key"}
