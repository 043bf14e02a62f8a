"""No name leads out of a store: abuse case 14 of the threat model."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.errors import PlatformError
from shared.stores import Local

PIECES = st.sampled_from(["..", ".", "/", "a", "b.c", "\0", "\n", "~", "\\", "é", " ", "-", ""])
KEYS = st.lists(PIECES, min_size=1, max_size=8).map("".join) | st.text(max_size=40)


async def body() -> AsyncIterator[bytes]:
    yield b"content"


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file() or path.is_symlink()}


@settings(max_examples=300, deadline=None)
@given(KEYS)
@example("../outside/x")
@example("/etc/x")
@example("a/../../outside/x")
def test_any_name_is_refused_or_stays_inside(key: str) -> None:
    """Abuse case 14: whatever the name is, nothing outside of the root is written or read."""
    with TemporaryDirectory() as base:
        root, outside = Path(base) / "root", Path(base) / "outside"
        root.mkdir()
        outside.mkdir()
        (outside / "x").write_bytes(b"secret")

        async def use() -> bytes | None:
            store = Local(root=str(root))
            with suppress(PlatformError):
                await store.put(key, body())
                return b"".join([piece async for piece in store.get(key)])
            return None

        assert asyncio.run(use()) in {None, b"content"}
        assert files_below(outside) == {outside / "x"}
        assert (outside / "x").read_bytes() == b"secret"
        assert {path.name for path in Path(base).iterdir()} == {"root", "outside"}


@contextmanager
def swapping(folder: Path, outside: Path) -> Iterator[None]:
    """Somebody replaces a folder by a link to elsewhere, and back, as fast as they can."""
    over, aside = threading.Event(), folder.with_name("aside")

    def swap() -> None:
        while not over.is_set():
            with suppress(OSError):
                folder.rename(aside)
                folder.symlink_to(outside)
            with suppress(OSError):
                folder.unlink()
            with suppress(OSError):
                aside.rename(folder)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


async def test_a_link_put_in_place_during_a_write_is_not_followed(tmp_path: Path) -> None:
    """Abuse case 14: the race between looking and opening."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "folder").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    store, written = Local(root=str(root)), 0
    with swapping(root / "folder", outside):
        for number in range(150):
            with suppress(PlatformError):
                await store.put(f"folder/{number}", body())
                written += 1
            with suppress(PlatformError):
                read = [piece async for piece in store.get("folder/secret")]
                assert read == []

    assert files_below(outside) == {outside / "secret"}
    assert [*outside.iterdir()] == [outside / "secret"]
    assert written > 0
