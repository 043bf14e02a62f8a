"""The pace of a store: a bucket that all runs of a process share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.messages.values import Pace
from shared.stores import Local
from shared.stores.paced import BURST_S, Bucket, PacedStore, paced

RATE = 1 << 20


@given(st.lists(st.tuples(st.integers(1, 8 << 20), st.floats(0, 10)), min_size=1, max_size=60))
def test_no_more_comes_through_than_the_rate_and_one_burst(
    taken: list[tuple[int, float]],
) -> None:
    bucket, now, last = Bucket(RATE, 0.0), 0.0, 0.0
    total = 0
    for amount, pause in taken:
        now += pause
        used_at = now + bucket.take(amount, now)
        total += amount
        last = max(last, used_at)
        assert total <= RATE * (used_at + BURST_S) + 1


@given(st.lists(st.integers(1, 1 << 20), min_size=2, max_size=20))
def test_who_comes_later_goes_later(amounts: list[int]) -> None:
    bucket = Bucket(RATE, 0.0)

    waits = [bucket.take(amount, 0.0) for amount in amounts]

    assert waits == sorted(waits)


def test_what_was_not_used_is_not_saved_up() -> None:
    bucket = Bucket(RATE, 0.0)

    assert bucket.take(RATE, 3600.0) == pytest.approx(1 - BURST_S)


async def pieces(count: int, size: int) -> AsyncIterator[bytes]:
    for number in range(count):
        yield bytes([number]) * size


async def test_runs_share_the_pace_and_lose_no_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    asleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await asleep(0)

    monkeypatch.setattr("shared.stores.paced.asyncio.sleep", sleep)
    pace = Pace(store_id=str(tmp_path), upload_bytes_s=RATE, download_bytes_s=2 * RATE)
    one, two = (paced(Local(root=str(tmp_path)), pace) for _ in range(2))

    await asyncio.gather(one.put("a", pieces(4, RATE)), two.put("b", pieces(4, RATE)))
    sent = sorted(waited)
    waited.clear()
    back = b"".join([piece async for piece in one.get("a")])

    assert back == b"".join([piece async for piece in pieces(4, RATE)])
    assert sent[-1] == pytest.approx(8 - BURST_S, abs=0.5)  # of both together
    assert waited[-1] == pytest.approx(2 - BURST_S, abs=0.5)


async def test_a_real_transfer_takes_as_long_as_its_pace_asks(tmp_path: Path) -> None:
    pace = Pace(store_id=str(tmp_path), upload_bytes_s=RATE)
    store = paced(Local(root=str(tmp_path)), pace)
    loop = asyncio.get_running_loop()

    began = loop.time()
    await store.put("a", pieces(3, RATE // 4))

    assert loop.time() - began >= 0.75 - BURST_S - 0.05  # never faster; slower is the machine


async def test_a_reader_that_stops_early_leaves_no_file_open(tmp_path: Path) -> None:
    store = paced(Local(root=str(tmp_path)), Pace(store_id="early", download_bytes_s=1 << 40))
    await store.put("a", pieces(4, RATE))
    pieces_of = store.get("a")
    assert isinstance(pieces_of, AsyncGenerator)

    await anext(pieces_of)
    held = [link for link in Path("/proc/self/fd").iterdir() if _leads(link) == tmp_path / "a"]
    await pieces_of.aclose()

    assert len(held) == 1
    assert not held[0].exists()


def _leads(link: Path) -> Path | None:
    try:
        return link.readlink()
    except OSError:
        return None


def test_without_a_pace_the_store_is_what_it_was(tmp_path: Path) -> None:
    store = Local(root=str(tmp_path))

    assert paced(store, None) is store
    assert paced(store, Pace(store_id="x")) is store
    assert isinstance(paced(store, Pace(store_id="y", upload_bytes_s=1)), PacedStore)
